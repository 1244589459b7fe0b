"""Keys as values: what is accepted, and what is never shown."""

import pickle
import subprocess
from pathlib import Path

import pytest

from engine.ssh.keys import EncryptedKey, HostKey, PrivateKey, UnusableKey, generate_key

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def test_a_host_key_is_read_from_a_pub_file_or_known_hosts() -> None:
    key = HostKey.parse(ED25519 + " root@server")
    assert str(key) == ED25519
    assert key.fingerprint == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"  # as ssh-keygen -lf prints it
    assert key.algorithms == ("ssh-ed25519",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ssh-dss AAAAB3NzaC1kc3MAAA",
        "ssh-ed25519 not-base64",
        "ssh-rsa " + ED25519.split()[1],
        "ssh-ed25519 AAAA",
    ],
)
def test_what_is_no_host_key_is_refused(text: str) -> None:
    with pytest.raises(UnusableKey):
        HostKey.parse(text)


def test_a_made_key_is_one_that_openssh_knows(tmp_path: Path) -> None:
    private, public = generate_key("deploy@test")
    path = tmp_path / "key"
    path.write_text(private)
    path.chmod(0o600)
    shown = subprocess.run(["ssh-keygen", "-y", "-f", str(path)], capture_output=True, text=True, check=True).stdout
    assert shown.split()[:2] == public.split()[:2]
    assert public.endswith(" deploy@test")
    assert PrivateKey(private).public_line == " ".join(public.split()[:2])


@pytest.mark.parametrize("arguments", [["-t", "ecdsa"], ["-t", "rsa", "-b", "2048"], ["-t", "rsa", "-m", "PEM"]])
def test_keys_people_already_have_can_be_used(tmp_path: Path, arguments: list[str]) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", str(path), *arguments], check=True)
    assert PrivateKey(path.read_text()).public_line == " ".join(path.with_suffix(".pub").read_text().split()[:2])


@pytest.mark.parametrize("arguments", [["-t", "ed25519"], ["-t", "ecdsa"], ["-t", "rsa"], ["-t", "ecdsa", "-m", "PEM"]])
def test_an_encrypted_key_is_opened_by_its_passphrase_alone(tmp_path: Path, arguments: list[str]) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-N", "phrase", "-f", str(path), *arguments], check=True)
    text = path.read_text()
    for passphrase, words in (("", "has a passphrase"), ("prhase", "does not open")):
        with pytest.raises(EncryptedKey, match=words) as refused:
            PrivateKey(text, passphrase)
        assert "prhase" not in str(refused.value)
    assert PrivateKey(text, "phrase").public_line == " ".join(path.with_suffix(".pub").read_text().split()[:2])


def test_a_damaged_key_is_refused_without_showing_it() -> None:
    for text in ("-----BEGIN OPENSSH PRIVATE KEY-----\nsecret stuff\n", ""):
        with pytest.raises(UnusableKey) as refused:
            PrivateKey(text, "phrase")
        assert "secret stuff" not in str(refused.value)


def test_a_private_key_shows_itself_to_nobody() -> None:
    private, _ = generate_key()
    key = PrivateKey(private)
    body = private.splitlines()[2]
    assert body not in repr(key) + str(key) + str(vars(key))
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_a_comment_cannot_smuggle_a_second_line() -> None:
    with pytest.raises(UnusableKey):
        generate_key("one\nssh-ed25519 AAAA other")
