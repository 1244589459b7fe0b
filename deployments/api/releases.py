"""Listing and uploading releases."""

import tempfile
from pathlib import Path as FilePath
from typing import Annotated

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile as DjangoFile
from django.http import HttpRequest
from ninja import File, Form, Path, Query, Router, Schema, Status, UploadedFile
from pydantic import Field

from deployments.access.policy import require, token_actor
from deployments.access.verbs import Verb
from deployments.api.schemas import ReleaseOut, ReleasePage
from deployments.core import selectors
from deployments.http.auth import BearerToken, actor_of, reader
from deployments.http.limits import READS, WRITES
from deployments.http.paging import Name, Paging, page_of
from deployments.http.problems import TooLarge, answers
from deployments.models import ApiToken, Release
from deployments.releases.uploads import add_artifact
from engine.artifacts.source import LARGEST

router = Router(tags=["Releases"], auth=BearerToken())

_CHUNK = 1 << 20


class UploadIn(Schema):
    """What is said about an uploaded artifact."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the file, in hexadecimal.", examples=["3f" * 32])
    ref: str = Field("", max_length=250, pattern=r"^[^\x00]*$", description="Branch or tag.", examples=["main"])
    commit: str = Field("", pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})?$", examples=["4d" * 20])
    change_log: str = Field(
        "",
        max_length=20000,
        pattern=r"^[^\x00]*$",
        description="Subjects of the commits since the release before, a line each.",
        examples=["Answers voteskip politely"],
    )


@router.get("/releases", response=answers({200: ReleasePage}), throttle=READS, summary="List releases")
def list_releases(request: HttpRequest, paging: Query[Paging]) -> ReleasePage:
    """Newest first."""
    reader(request)
    found, following = page_of(Release.objects.all(), paging)
    return ReleasePage(items=[ReleaseOut.of(row) for row in found], next_before=following)


@router.get(
    "/releases/{identifier}", response=answers({200: ReleaseOut}, 404), throttle=READS, summary="Read a release"
)
def read_release(request: HttpRequest, identifier: Path[Name]) -> ReleaseOut:
    """By identifier, or by version where only one release has it."""
    reader(request)
    return ReleaseOut.of(selectors.release_named(identifier))


class UploaderToken(BearerToken):
    """A token that may add releases; asked before the body is read, which is written to disk."""

    def __call__(self, request: HttpRequest) -> ApiToken:
        token = super().__call__(request)
        require(token_actor(token), Verb.ADD_RELEASE)
        return token


@router.post(
    "/releases",
    auth=UploaderToken(),
    response=answers({200: ReleaseOut, 201: ReleaseOut}, 409, 413),
    throttle=WRITES,
    summary="Upload a release",
)
def upload_release(
    request: HttpRequest, about: Form[UploadIn], artifact: Annotated[UploadedFile, File()]
) -> Status[ReleaseOut]:
    """An artifact that `build_release` made. Every file in it is checked; the same content gives the same release."""
    actor = actor_of(request)
    if (artifact.size or 0) > LARGEST:
        raise TooLarge(f"An artifact may have {LARGEST} bytes.", hint="Keep data out of the release.")
    settings.STATE_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="upload-", dir=settings.STATE_DIR) as scratch:
        path = FilePath(scratch) / "artifact.tar"
        _copy(artifact, path)
        row, new = add_artifact(
            actor=actor,
            path=path,
            sha256=about.sha256,
            ref=about.ref,
            commit=about.commit,
            change_log=about.change_log,
        )
    return Status(201 if new else 200, ReleaseOut.of(row))


def _copy(source: "DjangoFile[bytes]", path: FilePath) -> None:
    with path.open("wb") as target:
        for chunk in source.chunks(_CHUNK):
            target.write(chunk)
