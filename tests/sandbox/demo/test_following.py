"""The second release of the demo can be built where the demo keeps it: within somebody's checkout."""

import subprocess
from pathlib import Path

import pytest

from engine.artifacts.check import check_deploy_toml
from engine.artifacts.git import repository_at
from sandbox.demo import following
from sandbox.demo.following import clone_following, version_of
from sandbox.demo.portal import ROOT, DemoPortal


def test_its_tree_is_read_as_one_of_its_own_within_a_checkout(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text(".state/\n")
    tree = tmp_path / ".state" / "following"
    clone_following(tree)
    repository = repository_at(tree)
    assert repository is not None
    assert repository.prefix == ""
    assert check_deploy_toml(tree) == []
    first, second = version_of(ROOT).split("."), version_of(tree).split(".")
    assert (second[:-1], int(second[-1])) == (first[:-1], int(first[-1]) + 1)


def test_what_is_pulled_meanwhile_is_not_run_over_a_day_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled, state, trees = tmp_path / "pulled", tmp_path / "state", []
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(pulled)], check=True)
    monkeypatch.setattr(following, "ROOT", pulled)
    for version in ("9.0.0", "9.0.1"):  # when it is begun, and when it is gone on with
        portal = DemoPortal(state, 1, "127.0.0.1")
        following.settle(portal)
        assert version_of(portal.tree) == version_of(ROOT)
        assert (portal.tree / "manage.py").exists()
        trees.append(portal.tree)
        (pulled / "VERSION").write_text(version)
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@e", "commit", "-qam", version], cwd=pulled)
    assert trees == [state / "this"] * 2


@pytest.mark.parametrize("name", ["DATABASE_URL", "DJANGO_SETTINGS_MODULE", "PORTAL_SECRET_KEY", "PROMETHEUS_URL"])
def test_a_demo_s_portal_is_set_up_by_nothing_of_another_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "somebody's own")
    monkeypatch.setenv("LANG", "C.UTF-8")
    environment = DemoPortal(tmp_path, 1, "127.0.0.1", ALERTMANAGER_URL="http://127.0.0.1:9093").environment
    assert name not in environment
    assert (environment["LANG"], environment["ALERTMANAGER_URL"]) == ("C.UTF-8", "http://127.0.0.1:9093")
