"""The client that a runner uses: what it refuses, and how it ends."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest

from deployments.management.json_client import HttpFailure, JsonClient
from deployments.management.portal_client import main, multipart

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "cyop_a_secret_token"


class Answers:
    """A service that gives prepared answers, and keeps what it was asked."""

    def __init__(self) -> None:
        self.prepared: list[tuple[int, Any, dict[str, str]]] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.url = ""

    def then(self, status: int, document: Any = None, **headers: str) -> None:
        self.prepared.append((status, document, headers))


@pytest.fixture
def service() -> Iterator[Answers]:
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answers.asked.append((self.command, self.path, dict(self.headers), body))
            status, document, headers = answers.prepared.pop(0) if answers.prepared else (404, {}, {})
            content = json.dumps(document).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    answers.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield answers
    server.shutdown()
    thread.join()
    server.server_close()


def ask(service: Answers, *argv: str, **environ: str) -> int:
    return main(list(argv), {"PORTAL_URL": service.url, "PORTAL_TOKEN": TOKEN, **environ})


def test_the_token_goes_to_no_other_address(service: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    service.then(302, None, Location="http://127.0.0.1:9/elsewhere")
    assert ask(service, "test", "--release", "1.0.0") == 1
    assert len(service.asked) == 1
    assert TOKEN not in "".join(capsys.readouterr())


@pytest.mark.parametrize("address", ["http://portal.example.org", "ftp://portal", "portal.example.org", "file:///etc"])
def test_the_token_is_sent_over_tls_only(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--release", "1"], {"PORTAL_URL": address, "PORTAL_TOKEN": TOKEN}) == 2
    assert TOKEN not in "".join(capsys.readouterr())


def test_the_client_does_not_show_its_token() -> None:
    assert TOKEN not in repr(JsonClient("https://portal.example.org", TOKEN))


@pytest.mark.parametrize(
    ("status", "problem", "code"),
    [
        (409, {"reason": "environment_busy", "detail": "test is busy."}, 8),
        (404, {"reason": "unknown_release", "detail": "There is no release."}, 2),
        (422, {"reason": "invalid", "detail": "Not valid."}, 2),
        (403, {"reason": "not_allowed", "detail": "No."}, 1),
        (401, {"reason": "unauthenticated", "detail": "No."}, 1),
    ],
)
def test_what_the_portal_refuses_ends_with_its_code_and_sentence(
    service: Answers, status: int, problem: dict[str, str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    service.then(status, problem)
    assert ask(service, "test", "--release", "1.0.0") == code
    assert problem["detail"] in capsys.readouterr().err


def test_a_request_that_got_no_answer_is_sent_again_under_the_same_key(service: Answers) -> None:
    service.then(503, {"detail": "restarting"})
    service.then(409, {"reason": "environment_busy", "detail": "busy"})
    assert ask(service, "test", "--release", "1.0.0") == 8
    first, second = (headers["Idempotency-Key"] for _, _, headers, _ in service.asked)
    assert first == second


def test_an_upload_brings_the_commits_since_the_release_before(
    service: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*argv: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        done = subprocess.run(["git", *identity, *argv], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "--quiet")
    commits = []
    for subject in ("First", "Second", "Third"):
        git("commit", "--quiet", "--allow-empty", "--message", subject)
        commits.append(git("rev-parse", "HEAD"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dice-bot-1.1.0-abc.tar").write_bytes(b"content")
    service.then(200, {"items": [{"name": "other", "commit": commits[1]}, {"name": "dice-bot", "commit": commits[0]}]})
    service.then(409, {"reason": "version_taken", "detail": "taken"})
    argv = ("test", "--artifact", "dice-bot-1.1.0-abc.tar", "--sha256", "0" * 64)
    assert ask(service, *argv, GITHUB_SHA=commits[2]) == 1
    body = service.asked[-1][3].decode()
    assert "\r\n\r\nThird\nSecond\r\n" in body
    assert "First" not in body


def test_without_address_and_token_nothing_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--release", "1.0.0"], {}) == 2
    assert "PORTAL_URL and PORTAL_TOKEN must be set" in capsys.readouterr().err


def test_without_a_token_the_run_shows_the_portal_who_it_is(
    service: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    service.then(200, {"value": "header.claims.signature"})
    service.then(200, {"access_token": TOKEN})
    service.then(409, {"reason": "environment_busy", "detail": "busy"})
    github = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{service.url}/token?api-version=2",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of the job alone",
    }
    assert main(["test", "--release", "1.0.0"], {"PORTAL_URL": f"{service.url}/", **github}) == 8
    (_, identity, asked, _), (_, path, exchanged, form), (_, _, request, _) = service.asked
    assert identity == f"/token?api-version=2&audience={quote(service.url, safe='')}"
    assert asked["Authorization"] == "Bearer of the job alone"
    assert path == "/api/v1/tokens/exchange"
    assert "Authorization" not in exchanged
    assert dict(parse_qsl(form.decode())) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "header.claims.signature",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "audience": "test",
    }
    assert request["Authorization"] == f"Bearer {TOKEN}"
    shown = "".join(capsys.readouterr())
    assert not [secret for secret in (TOKEN, "signature", "of the job alone") if secret in shown]


def test_a_stored_token_is_used_and_no_identity_asked_for(service: Answers) -> None:
    service.then(409, {"reason": "environment_busy", "detail": "busy"})
    assert ask(service, "test", "--release", "1.0.0", ACTIONS_ID_TOKEN_REQUEST_URL=f"{service.url}/token?x=1") == 8
    assert [path for _, path, _, _ in service.asked] == ["/api/v1/deployments"]


def test_an_identity_that_the_portal_refuses_ends_with_its_sentence(
    service: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    service.then(200, {"value": "a.b.c"})
    service.then(403, {"reason": "not_bound", "detail": "No binding fits."})
    github = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{service.url}/token?x=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t"}
    assert main(["test", "--release", "1"], {"PORTAL_URL": service.url, **github}) == 1
    assert "No binding fits." in capsys.readouterr().err


def test_an_artifact_needs_its_digest(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["test", "--artifact", str(tmp_path / "x.tar")], {})
    assert ended.value.code == 2


def test_it_needs_nothing_but_python() -> None:
    script = "import sys; sys.path.insert(0, sys.argv[1]); import deployments.management.portal_client"
    subprocess.run([sys.executable, "-I", "-S", "-c", script, str(ROOT)], check=True, timeout=60)


def test_a_name_or_text_cannot_end_its_part_of_a_form() -> None:
    body, content_type = multipart({"ref": 'x"\r\n--y\r\n'}, 'a"\r\nb.tar', b"content")
    boundary = content_type.partition("boundary=")[2].encode()
    assert body.count(b"--" + boundary) == 3
    assert b'filename="ab.tar"' in body


def test_an_answer_that_is_no_json_is_a_failure(service: Answers) -> None:
    service.then(200, "x" * 10)
    assert JsonClient(service.url, TOKEN).get("/") == "x" * 10
    with pytest.raises(HttpFailure):
        JsonClient("http://127.0.0.1:9", TOKEN).get("/")
