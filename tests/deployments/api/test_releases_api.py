"""Uploading releases by program."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from deployments.models import AuditEvent, Release, Scope
from engine.artifacts import tarstream
from engine.artifacts.reader import open_artifact
from tests.deployments.api.conftest import Caller
from tests.deployments.api.test_deployments_api import problem
from tests.engine.artifacts.test_received import packed
from tests.fixtures.records import whole


@pytest.fixture
def artifact(make_release: Callable[[str], Release]) -> bytes:
    """The file of a release that this portal does not have."""
    release = make_release("2.0.0")
    content = whole(release)
    release.delete()
    return content


def upload(caller: Caller, content: bytes, sha256: str = "", **fields: Any) -> Any:
    body = {
        "sha256": sha256 or hashlib.sha256(content).hexdigest(),
        "artifact": SimpleUploadedFile("release.tar", content, "application/x-tar"),
    }
    return caller.client.post("/api/v1/releases", body | fields, headers=caller.headers)


def test_an_artifact_becomes_a_release(olga: Caller, artifact: bytes) -> None:
    answer = upload(olga, artifact, ref="main", commit="4d" * 20)
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["version"], body["ref"], body["commit"]) == ("2.0.0", "main", "4d" * 20)
    assert body["artifact_digest"] == hashlib.sha256(artifact).hexdigest()
    release = Release.objects.get(identifier=body["identifier"])
    assert whole(release) == artifact
    assert AuditEvent.objects.filter(name="release.added", subject=f"release:{release.identifier}").exists()
    assert olga.get("/releases/2.0.0").json() == body
    assert olga.get("/releases").json()["items"] == [body]


def test_uploading_it_again_changes_nothing(olga: Caller, artifact: bytes) -> None:
    first, second = upload(olga, artifact), upload(olga, artifact)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()


def test_another_digest_is_refused(olga: Caller, artifact: bytes) -> None:
    problem(upload(olga, artifact, sha256="0" * 64), 422, "digest_mismatch")
    assert not Release.objects.exists()


@pytest.mark.parametrize("where", [b"manifest.json", b"VERSION", b"def ", b"import "])
def test_a_damaged_artifact_is_refused_even_with_its_own_digest(olga: Caller, artifact: bytes, where: bytes) -> None:
    damaged = bytearray(artifact)
    damaged[artifact.index(where) + 2] ^= 0xFF
    answer = upload(olga, bytes(damaged))
    assert answer.status_code == 422, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert not Release.objects.exists()


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\x00" * 10240])
def test_what_is_no_artifact_is_refused(olga: Caller, content: bytes) -> None:
    assert upload(olga, content).status_code == 422
    assert not Release.objects.exists()


def repacked(artifact: bytes, tmp_path: Path, change: dict[str, bytes | None]) -> bytes:
    """The artifact with other files in it, well-formed."""
    (tmp_path / "whole.tar").write_bytes(artifact)
    with open_artifact(tmp_path / "whole.tar") as reader:
        files = {file.path: reader.read(file.path) for file in reader.manifest}
    files["deploy.toml"] = b"\n".join(
        b'include = ["**"]' if line.startswith(b"include") else line for line in files["deploy.toml"].split(b"\n")
    )
    wanted = {path: content for path, content in {**files, **change}.items() if content is not None}
    return packed(tmp_path / "changed.tar", wanted).read_bytes()


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        ({".envs/x/bin/python": b"#!/bin/sh"}, "reserved_path", ".envs/x/bin/python"),
        ({".release": b"RELEASE_ID=x"}, "reserved_path", ".release"),
        ({"dicebot/Data.py": b"", "dicebot/data.py": b""}, "path_clash", "dicebot/Data.py and dicebot/data.py"),
        ({"systemd/dice-bot.service": None}, "missing_file", "systemd/dice-bot.service"),
        ({"VERSION": None}, "missing_version", "VERSION"),
        (
            {"systemd/dice-bot.service": b"[Service]\nWorkingDirectory=/opt/dice-bot/current\nExecStartPre=+/bin/sh\n"},
            "bad_unit",
            "dice-bot.service",
        ),
    ],
)
def test_what_a_server_would_refuse_is_refused_at_the_door(
    olga: Caller, artifact: bytes, tmp_path: Path, change: dict[str, bytes | None], reason: str, named: str
) -> None:
    answer = upload(olga, repacked(artifact, tmp_path, change))
    problem(answer, 422, reason)
    assert named in answer.json()["detail"]
    assert not Release.objects.exists()


def test_a_manifest_nested_beyond_measure_is_refused(olga: Caller, tmp_path: Path) -> None:
    manifest = b"[" * 100_000 + b"]" * 100_000
    content = tarstream.header("manifest.json", 0o444, len(manifest)) + manifest + tarstream.padding(len(manifest))
    assert upload(olga, content + tarstream.END).status_code == 422


@pytest.mark.parametrize("depth", [50, 900, 100_000])
@pytest.mark.parametrize("path", ["/api/v1/deployments", "/api/v1/rollbacks", "/api/v1/heartbeats"])
@pytest.mark.parametrize("shape", [b"[", b'{"a":'])
def test_a_body_nested_beyond_measure_is_a_problem(olga: Caller, path: str, depth: int, shape: bytes) -> None:
    close = b"]" if shape == b"[" else b"}"
    for before, behind in ((b"", b""), (b'{"environment":"test","reason":', b"}")):
        body = before + shape * depth + b"1" + close * depth + behind
        headers = olga.headers | {"idempotency-key": "[" * 100}
        answer = olga.client.post(path, body, content_type="application/json", headers=headers)
        assert answer.status_code in (422, 403), answer.content
        assert answer["Content-Type"] == "application/problem+json"


def test_a_version_means_one_content(olga: Caller, artifact: bytes, make_release: Callable[[str], Release]) -> None:
    make_release("2.0.0")
    Release.objects.update(manifest_digest="f" * 64)
    problem(upload(olga, artifact), 409, "version_taken")


def test_a_form_that_is_not_one_is_400(olga: Caller) -> None:
    answer = olga.client.post(
        "/api/v1/releases", b"--x\r\nbroken", content_type="multipart/form-data; boundary=", headers=olga.headers
    )
    problem(answer, 400, "bad_request")


def test_uploading_needs_the_scope(caller: Callable[..., Caller], artifact: bytes) -> None:
    problem(upload(caller("vera", "viewer"), artifact), 403, "not_allowed")
    problem(upload(caller("olga", "operator", scopes=[Scope.READ, Scope.DEPLOY]), artifact), 403, "not_allowed")


def test_nothing_is_left_behind(olga: Caller, artifact: bytes, own_state: Path) -> None:
    upload(olga, b"not a tar")
    upload(olga, artifact)
    assert list(own_state.glob("upload-*")) == []
