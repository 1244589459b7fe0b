"""Registered users and their passwords, checked as slowly as the real server does it."""

import functools
from collections.abc import Iterable

import bcrypt

from sandbox.cytube.config import Account
from sandbox.cytube.names import skeleton


@functools.lru_cache(maxsize=256)
def _hash(password: str, cost: int) -> bytes:
    digest: bytes = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(cost))
    return digest


class Accounts:
    """The directory of registered users; names are found whatever their case."""

    def __init__(self, accounts: Iterable[Account], *, cost: int) -> None:
        self._cost = cost
        self._by_name = {account.name.lower(): account for account in accounts}
        self._skeletons = {skeleton(account.name) for account in self._by_name.values()}

    def find(self, name: str) -> Account | None:
        """The account of that name."""
        return self._by_name.get(name.lower())

    def looks_registered(self, name: str) -> bool:
        """True for a registered name and for one that can be taken for it."""
        return skeleton(name) in self._skeletons

    def ranked(self) -> list[Account]:
        """Accounts with a rank above that of any registered user, highest first."""
        above = [account for account in self._by_name.values() if account.rank > 1]
        return sorted(above, key=lambda account: -account.rank)

    def prepare(self) -> None:
        """Hash all passwords, so that the first login takes no longer than the others. Slow: run it in a thread."""
        for account in self._by_name.values():
            _hash(account.password, self._cost)

    def matches(self, account: Account, password: str) -> bool:
        """Whether ``password`` is right. About 65 ms of CPU at cost 10: run it in a thread."""
        matched: bool = bcrypt.checkpw(password.encode()[:72], _hash(account.password, self._cost))
        return matched
