"""SSH signatures over short texts, made and checked by ssh-keygen itself: what anybody else would check them with."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from engine.errors import PortalError
from engine.ssh.keys import HOST_KEY_TYPES, HostKey

SIGNING_SECONDS = 120
"""For a passphrase, or a touch of a security key."""
CHECKING_SECONDS = 10
MAX_SIGNATURE = 16_384
"""Characters; one by an RSA key of 8192 bits has 3,000."""


class UnusableSignature(PortalError):
    """A signature could not be made, or checked at all."""

    reason = "unusable_signature"


class PersonKey(HostKey):
    """What a person signs with: a key in a file or in an agent, or one that a security key holds."""

    TYPES: ClassVar[tuple[str, ...]] = (
        *HOST_KEY_TYPES,
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    )
    WHAT: ClassVar[str] = "signing key"


def sign(message: str, *, key: Path, namespace: str) -> str:
    """The signature over `message` by the private key in `key` (or, of an agent's key, its .pub), in armour.

    Asks for a passphrase or a touch on the terminal. Raises UnusableSignature.
    """
    command = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", namespace]
    done = _ran(command, message, seconds=SIGNING_SECONDS, quiet=False)
    if done.returncode or "BEGIN SSH SIGNATURE" not in done.stdout:
        raise UnusableSignature(
            f"{key} did not sign; ssh-keygen says why above.", hint="Name a private key, or the .pub of an agent's key."
        )
    return done.stdout


def is_signed(message: str, signature: str, *, signer: str, keys: Sequence[str], namespace: str) -> bool:
    """Whether one of `keys` (type and base64) made `signature` over exactly `message` for this namespace.

    Raises UnusableSignature where ssh-keygen is not installed.
    """
    if (
        not keys
        or not signature.isascii()
        or not 0 < len(signature) <= MAX_SIGNATURE
        or set(signer) & set('*?!,"\\ \n')
    ):
        return False
    with tempfile.TemporaryDirectory(prefix="signature-") as directory:
        signed, allowed = Path(directory, "signature"), Path(directory, "allowed_signers")
        signed.write_text(signature)
        allowed.write_text("".join(signer_line(signer, key, namespace=namespace) for key in keys))
        command = ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", signer, "-n", namespace, "-s", str(signed)]
        return _ran(command, message, seconds=CHECKING_SECONDS, quiet=True).returncode == 0


def signer_line(signer: str, key: str, *, namespace: str) -> str:
    """A line of an allowed_signers file (ssh-keygen(1)): this person, with this key, for this namespace only."""
    return f'{signer} namespaces="{namespace}" {key}\n'


def _ran(command: list[str], message: str, *, seconds: int, quiet: bool) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command,
            input=message,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnusableSignature(f"ssh-keygen did not end within {seconds} s.", hint="Try again.") from None
    except OSError as error:
        raise UnusableSignature(
            f"ssh-keygen cannot be run: {error.strerror}.", hint="Install openssh-client."
        ) from error
