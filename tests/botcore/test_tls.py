"""CyTube over TLS, as the real one is: a certificate the machine trusts leads into the room, any other one nowhere."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sandbox.cytube import CytubeServer, ServerConfig
from tests.botcore.running import NAME, until
from tests.botcore.test_process import started, write


def certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """One that signs itself, for an address; where it and its key lie."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return public, private


@pytest.fixture
async def secure(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CytubeServer]:
    """A server whose certificate is for the address given, or for its own."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate(tmp_path, getattr(request, "param", "127.0.0.1")))
    async with CytubeServer(ServerConfig(login_cost=4, tls=tls)) as server:
        yield server


async def test_a_trusted_certificate_leads_into_the_room(secure: CytubeServer, tmp_path: Path) -> None:
    async with started(write(tmp_path, secure.url), SSL_CERT_FILE=str(tmp_path / "certificate.pem")) as bot:
        await bot.connected()
        assert secure.users == [NAME]


@pytest.mark.parametrize(
    ("secure", "trusted"),
    [("127.0.0.1", "/dev/null"), ("192.0.2.1", "certificate.pem")],
    indirect=["secure"],
    ids=["nobody-vouches-for-it", "for-another-server"],
)
async def test_any_other_certificate_leads_nowhere_and_is_said(
    secure: CytubeServer, tmp_path: Path, trusted: str
) -> None:
    async with started(write(tmp_path, secure.url), SSL_CERT_FILE=str(tmp_path / trusted)) as bot:
        await until(lambda: any("certificate verify failed" in line.lower() for line in bot.output))
        status, body = await bot.health()
        assert (status, body["connected"]) == (503, False)
        assert secure.users == []
