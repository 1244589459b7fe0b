"""What is no address, no name or no sshd is said in one sentence, and nothing is recorded."""

import socket
import threading
from collections.abc import Iterator

import pytest

from deployments.models import Server
from tests.stories.saying import said

pytestmark = pytest.mark.django_db


def enrol(*options: str, name: str = "x-1") -> str:
    code, words = said("enroll", name, "--environment", "test", *options)
    assert code in (1, 2), words
    assert not Server.objects.exists()
    return words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--host", "root@192.0.2.4"), "'root@192.0.2.4' names an account, too"),
        (("--host", "192.0.2.4:2222"), "Give --host 192.0.2.4 --port 2222"),
        (("--host", "web.example.org:22"), "Give --host web.example.org --port 22"),
        (("--host", "[2001:db8::1]"), "Give --host 2001:db8::1"),
        (("--host", "a b"), "The host 'a b' cannot be used"),
        (("--host", "192.0.2.4", "--port", "70000"), "'70000' is no whole number from 1 to 65535"),
        (("--host", "192.0.2.4", "--user", "Root"), "The user 'Root' cannot be used"),
        (("--host", "192.0.2.4", "--jump", "gate"), "'gate' is no jump host"),
    ],
)
def test_what_is_not_an_address_or_an_account_is_named(options: tuple[str, ...], words: str) -> None:
    assert words in enrol(*options)


def test_a_name_that_cannot_be_used_is_named() -> None:
    assert "The name 'No_1' cannot be used" in enrol("--host", "192.0.2.4", name="No_1")


@pytest.fixture
def no_sshd() -> Iterator[int]:
    """The port of something that answers otherwise and hangs up."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connection.sendall(b"HTTP/1.1 400 no\r\n\r\n")
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_what_is_no_sshd_is_said_in_one_sentence_and_nothing_else(
    no_sshd: int, caplog: pytest.LogCaptureFixture
) -> None:
    words = enrol("--host", "127.0.0.1", "--port", str(no_sshd))
    assert words.startswith(f"127.0.0.1:{no_sshd} does not answer as an SSH server should")
    assert len(words.strip().splitlines()) == 1
    assert caplog.records == []
