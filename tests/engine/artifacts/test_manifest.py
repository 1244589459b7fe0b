"""Manifests: one form, one digest, and nothing in them that cannot lie in one directory tree."""

import hashlib
import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.artifacts.deploy_toml import parse_deploy_toml
from engine.artifacts.errors import ArtifactCorrupt
from engine.artifacts.manifest import Manifest, ManifestFile, normalised, wheel_directory

A, B = "a" * 64, "b" * 64


def names() -> st.SearchStrategy[str]:
    letters = st.characters(codec="utf-8", exclude_characters="/", exclude_categories=["Cc", "Zl", "Zp"])
    return st.text(letters, min_size=1, max_size=60).filter(lambda name: name not in {".", ".."})


def manifest_files() -> st.SearchStrategy[list[ManifestFile]]:
    file = st.builds(
        ManifestFile,
        path=names(),
        mode=st.sampled_from([0o444, 0o555]),
        sha256=st.sampled_from([A, B]),
        size=st.integers(0, 10**9),
    )
    return st.lists(file, max_size=8, unique_by=lambda each: each.path)


def file(path: str, sha256: str = A, mode: int = 0o444, size: int = 1) -> ManifestFile:
    return ManifestFile(path, mode, sha256, size)


def test_the_canonical_json_is_what_servers_and_seals_rely_on() -> None:
    manifest = Manifest([file("b/ü", B, 0o555, 7), file("a")])
    expected = f'[["a",292,"{A}",1],["b/\\u00fc",365,"{B}",7]]'
    assert manifest.to_json() == expected.encode()
    assert manifest.digest == hashlib.sha256(expected.encode()).hexdigest()
    assert manifest.size == 8


@given(manifest_files(), st.randoms(use_true_random=False))
def test_the_digest_depends_on_the_files_only(files: list[ManifestFile], random: Random) -> None:
    manifest = Manifest(files)
    shuffled = files[:]
    random.shuffle(shuffled)
    assert Manifest(shuffled).digest == manifest.digest
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert Manifest.from_rows(json.loads(manifest.to_json())) == manifest
    for changed in files:
        assert Manifest([each for each in files if each is not changed]).digest != manifest.digest


@given(manifest_files(), manifest_files())
def test_a_diff_turns_the_older_into_the_newer(new: list[ManifestFile], old: list[ManifestFile]) -> None:
    newer, older = Manifest(new), Manifest(old)
    diff = newer.diff(older)
    result = dict(older.by_path)
    for path in diff.removed:
        del result[path]
    for path in (*diff.added, *diff.changed):
        assert result.get(path) != newer.by_path[path]
        result[path] = newer.by_path[path]
    assert result == newer.by_path
    assert bool(diff) == (newer != older)


def test_only_contents_a_host_does_not_have_need_to_travel() -> None:
    base = Manifest([file("old-name", A)])
    new = Manifest([file("renamed", A), file("new", B)])
    assert new.absent_from(base) == ("new",)
    assert new.absent_from(None) == ("new", "renamed")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("../a", 0o444, A, 1), "leads out"),
        (("/a", 0o444, A, 1), "absolute"),
        (("a", 0o644, A, 1), "mode 644"),
        (("a", 0o4555, A, 1), "mode 4555"),
        (("a", 0o444, A.upper(), 1), "sha256"),
        (("a", 0o444, A + "\n", 1), "sha256"),
        (("a", 0o444, A, -1), "size"),
        (("a", 0o444, A, 8 * 1024**3), "size"),
    ],
)
def test_an_impossible_file_is_refused(arguments: tuple[str, int, str, int], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ManifestFile(*arguments)


@pytest.mark.parametrize("paths", [["a", "a"], ["a", "a/b"], ["a/b", "a/b/c/d"]])
def test_entries_that_cannot_lie_side_by_side_are_refused(paths: list[str]) -> None:
    with pytest.raises(ValueError, match="twice, or is a file and a directory"):
        Manifest([file(path) for path in paths])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[1]",
        b"[[]]",
        b"null",
        f'[["a",292,"{A}",1]]\n'.encode(),
        f'[["a", 292, "{A}", 1]]'.encode(),
        f'[["b",292,"{A}",1],["a",292,"{A}",1]]'.encode(),
        f'[["a",292.0,"{A}",1]]'.encode(),
        f'[["a",292,"{A}",true]]'.encode(),
        f'[["../a",292,"{A}",1]]'.encode(),
        f'[["a",292,"{A}",1,1]]'.encode(),
    ],
)
def test_any_other_bytes_are_no_manifest(content: bytes) -> None:
    with pytest.raises(ArtifactCorrupt):
        Manifest.from_json(content)


@pytest.mark.parametrize(("mode", "stored"), [(0o600, 0o444), (0o664, 0o444), (0o4711, 0o555), (0o100, 0o555)])
def test_modes_keep_only_whether_a_file_may_be_executed(mode: int, stored: int) -> None:
    assert normalised(mode) == stored


@pytest.mark.parametrize(
    ("lock", "directory"),
    [("requirements/bot.txt", "wheels/bot"), ("base.lock.txt", "wheels/base.lock"), ("lock", "wheels/lock"),
     (".lock", "wheels/.lock")],
)  # fmt: skip
def test_wheels_lie_under_the_name_of_their_lock(lock: str, directory: str) -> None:
    assert wheel_directory(lock) == directory


def test_a_server_gets_the_wheels_of_its_roles_only() -> None:
    deploy = parse_deploy_toml(
        b"""
        name = "x-bot"
        python = "3.11"
        roles.bot.lock = "requirements/bot.txt"
        roles.portal.lock = "requirements/base.txt"
        roles.monitoring.units = []
        [environments.test]
        """
    )
    paths = ["requirements/base.txt", "wheels/base/d.whl", "wheels/bot/s.whl", "x.py"]
    manifest = Manifest([file(path) for path in paths])
    kept = {
        roles: [each.path for each in manifest.subset_for_roles(deploy, roles)]
        for roles in (("bot",), ("bot", "portal"), ("monitoring",), ("monitoring", "portal"))
    }
    assert kept == {
        ("bot",): ["requirements/base.txt", "wheels/bot/s.whl", "x.py"],
        ("bot", "portal"): paths,
        ("monitoring",): ["requirements/base.txt", "x.py"],
        ("monitoring", "portal"): ["requirements/base.txt", "wheels/base/d.whl", "x.py"],
    }
