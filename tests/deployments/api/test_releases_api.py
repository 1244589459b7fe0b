"""Uploading releases by program."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from deployments.models import AuditEvent, Release, Scope
from tests.deployments.api.conftest import Caller
from tests.deployments.api.test_deployments_api import problem


@pytest.fixture
def artifact(make_release: Callable[[str], Release]) -> bytes:
    """The file of a release that this portal does not have."""
    release = make_release("2.0.0")
    content = Path(release.artifact.path).read_bytes()
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
    assert Path(release.artifact.path).read_bytes() == artifact
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
