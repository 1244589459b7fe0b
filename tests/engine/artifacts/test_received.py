"""Artifacts that somebody else built."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.artifacts import errors, tarstream
from engine.artifacts.artifact import build_artifact
from engine.artifacts.manifest import Manifest, ManifestFile
from engine.artifacts.received import receive_artifact
from engine.artifacts.wheels import DirectoryWheels
from tests.engine.artifacts.projects import DEPLOY_TOML, FILES, lock_line, project, wheel

RELEASE = {path: content.encode() for path, content in FILES.items() if path != "README.md"}


def packed(path: Path, files: Mapping[str, bytes]) -> Path:
    """A well-formed artifact with these files, whatever they are."""
    manifest = Manifest(
        ManifestFile(name, 0o444, hashlib.sha256(files[name]).hexdigest(), len(files[name])) for name in files
    )
    content = b""
    for name, body in [("manifest.json", manifest.to_json()), *sorted(files.items())]:
        content += tarstream.header(name, 0o444, len(body)) + body + tarstream.padding(len(body))
    path.write_bytes(content + tarstream.END)
    return path


def test_what_was_built_here_is_received_as_it_was_built(tmp_path: Path) -> None:
    leaf = wheel(tmp_path / "wheels", "leaf")
    source = project(tmp_path / "p", {"requirements.txt": lock_line(leaf)})
    built = build_artifact(source, None, DirectoryWheels(tmp_path / "wheels"), tmp_path / "artifacts")
    assert receive_artifact(built.path) == built
    assert receive_artifact(built.path, "a" * 40).commit == "a" * 40


def test_the_files_of_a_project_are_an_artifact(tmp_path: Path) -> None:
    assert receive_artifact(packed(tmp_path / "x.tar", RELEASE)).version == "1.2.3"


UV_LOCK = b'version = 1\n[[package]]\nname = "tea"\nsource = { virtual = "." }\n'
EVERYTHING = {"deploy.toml": DEPLOY_TOML.replace('["tea"]', '["**"]').encode()}


@pytest.mark.parametrize(
    ("change", "kind", "sentence"),
    [
        ({"deploy.toml": None}, errors.NoDeployToml, "no such file"),
        ({"deploy.toml": b"name = 1"}, errors.BadDeployToml, "mistakes"),
        ({"VERSION": b"../../etc"}, errors.MissingVersion, "does not hold a version"),
        ({"VERSION": None}, errors.MissingVersion, "no such file"),
        ({"requirements.txt": None}, errors.MissingLock, "is not in the tree"),
        ({"tea.service": None}, errors.FileMissing, "is not in the tree"),
        (
            {"tea/big": b"version https://git-lfs.github.com/spec/v1\n"},
            errors.SpecialFile,
            "tea/big: is only a pointer",
        ),
        (
            {
                "deploy.toml": DEPLOY_TOML.replace("requirements.txt", "uv.lock").encode(),
                "uv.lock": UV_LOCK,
                "requirements.txt": None,
            },
            errors.BadLock,
            r"uv\.lock line 1: .* is not a requirement",
        ),
        ({".release": b"RELEASE_ID=x", **EVERYTHING}, errors.ReservedPath, r"\.release"),
        ({".config": b"", **EVERYTHING}, errors.ReservedPath, r"\.config"),
        ({"wheels/other/x.whl": b"", **EVERYTHING}, errors.ReservedPath, "wheels"),
        ({"wheels/other/x.whl": b""}, errors.ArtifactCorrupt, "holds wheels/other/x.whl, which"),
        ({"surplus": b""}, errors.ArtifactCorrupt, "holds surplus, which"),
        ({"tea/A": b"", "tea/a": b""}, errors.PathClash, "tea/A and tea/a"),
        ({"wheels/requirements/x.whl": b""}, errors.WheelsUnavailable, "has no hash that is still wanted"),
        (
            {"requirements.txt": f"leaf==1 --hash=sha256:{'a' * 64}".encode()},
            errors.WheelsUnavailable,
            "there is none for leaf==1",
        ),
    ],
)
def test_what_no_build_would_make_is_refused(
    tmp_path: Path, change: dict[str, bytes | None], kind: type[errors.PlanError], sentence: str
) -> None:
    files = {path: content for path, content in {**RELEASE, **change}.items() if content is not None}
    with pytest.raises(kind, match=sentence):
        receive_artifact(packed(tmp_path / "x.tar", files))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.tar", RELEASE)
    path.write_bytes(path.read_bytes().replace(b"print('tea')", b"print('TEA')"))
    with pytest.raises(errors.ArtifactCorrupt, match="the content of tea/__main__"):
        receive_artifact(path)


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_a_manifest_nested_beyond_measure_is_corrupt(depth: int) -> None:
    with pytest.raises(errors.ArtifactCorrupt):
        Manifest.from_json(b"[" * depth + b"]" * depth)


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_a_deploy_toml_nested_beyond_measure_is_refused(tmp_path: Path, depth: int) -> None:
    nested = DEPLOY_TOML.encode() + b"\nextra = " + b"[" * depth + b"]" * depth + b"\n"
    with pytest.raises(errors.PlanError):
        receive_artifact(packed(tmp_path / "x.tar", {**RELEASE, "deploy.toml": nested}))
