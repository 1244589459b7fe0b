"""The account that may become root on a server: a person's own, for one command, and nothing of it is kept."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

from engine.errors import InvalidRequest
from engine.remote.sudo import prove_sudo
from engine.ssh.address import Address
from engine.ssh.keys import PrivateKey
from engine.ssh.session import Session


def nobody_to_ask() -> str:
    """For an account whose sudo asks for nothing. Raises InvalidRequest where it does."""
    raise InvalidRequest("sudo asks for a password there, and there is nobody to ask.")


@dataclass(frozen=True)
class Bootstrap:
    """Who signs in, the keys that are tried in their order, and who knows the password of sudo, should it ask."""

    user: str
    keys: tuple[PrivateKey, ...]
    ask_password: Callable[[], str] = field(default=nobody_to_ask, repr=False)

    @property
    def sudo(self) -> bool:
        """Whether it has to become root."""
        return self.user != "root"

    def session(self, address: Address, jump_key: PrivateKey | None = None) -> Session:
        """A session at this address, to be entered, as this account; entering it raises SudoRefused, too.

        `jump_key` opens the jump host in front of it: that is the portal's way, not this account's.
        """
        prove = partial(prove_sudo, ask_password=self.ask_password) if self.sudo else None
        return _BootstrapSession(replace(address, user=self.user), *self.keys, jump_key=jump_key, prove=prove)


class _BootstrapSession(Session):
    """One that has proven that its account may become root, as far as a password is what it takes."""

    def __init__(
        self,
        address: Address,
        *keys: PrivateKey,
        jump_key: PrivateKey | None,
        prove: Callable[[Session], None] | None,
    ) -> None:
        super().__init__(address, *keys, jump_key=jump_key)
        self._prove = prove

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            if self._prove:
                self._prove(self)
        except BaseException:
            self.close()
            raise
        return self
