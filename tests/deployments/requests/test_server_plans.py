"""What a request would do on each server, counted before anything is sent: files, packages, units, bytes."""

from pathlib import Path

import pytest

from deployments.models import Release
from deployments.requests.server_plans import server_plans
from deployments.snapshot import SealedBase, SealedTarget, Snapshot
from engine.artifacts.artifact import build_artifact
from engine.artifacts.wheels import DirectoryWheels
from tests.engine.artifacts.projects import DEPLOY_TOML, UNIT, lock_line, project, wheel
from tests.fixtures.records import stored

MONITORING = '[roles.monitoring]\nunits = ["tea-web.service"]\nlock = "web.txt"\n\n[environments.test.roles.bot]'
BOTH_ROLES = DEPLOY_TOML.replace("[environments.test.roles.bot]", MONITORING)
LOCKS = {"old": ("cup", "pot"), "new": ("cup", "spoon")}
"""The packages of the bot; the other role has one of its own in both."""


@pytest.fixture
def releases(db: None, state_dir: Path, tmp_path: Path) -> dict[str, Release]:
    """Two versions: in the second one a file is new, two are changed and one is gone, and a package is exchanged."""
    made = {name: wheel(tmp_path / "wheels", name) for name in ("cup", "pot", "spoon", "plate")}
    files: dict[str, dict[str, str | bytes | None]] = {
        "old": {"VERSION": "1.0.0\n", "tea/gone.py": "", "tea/text.py": "T = 1\n", "tea-web.service": UNIT},
        "new": {
            "VERSION": "2.0.0\n",
            "tea/fresh.py": "F = 1\n",
            "tea/text.py": "T = 2\n",
            "tea-web.service": UNIT.replace("-m tea", "-m tea.web"),
        },
    }
    found = {}
    for name, changed in files.items():
        locks = {"requirements.txt": "".join(lock_line(made[each]) for each in LOCKS[name])}
        (tmp_path / name).mkdir()
        (tmp_path / f"built-{name}").mkdir()
        tree = project(
            tmp_path / name, {"deploy.toml": BOTH_ROLES, **locks, "web.txt": lock_line(made["plate"]), **changed}
        )
        found[name] = stored(
            build_artifact(tree, None, DirectoryWheels(tmp_path / "wheels"), tmp_path / f"built-{name}")
        )
    return found


def target(name: str, *roles: str, base: str = "", **secrets: int) -> SealedTarget:
    return SealedTarget(server=name, roles=roles, base=SealedBase(release=base) if base else None, secrets=secrets)


def test_each_server_is_counted_by_its_roles_and_by_what_it_runs(releases: dict[str, Release]) -> None:
    new, old = releases["new"], releases["old"]
    targets = (
        target("one", "bot", base=old.identifier, token=3, key=1),
        target("two", "bot", "monitoring", base=old.identifier),
        target("three", "bot"),
        target("four", "bot", base="of another portal"),
        target("five", "monitoring", base=new.identifier),
    )
    one, two, three, four, five = server_plans(new, Snapshot(targets=targets))
    assert [plan.server for plan in (one, two, three, four, five)] == ["one", "two", "three", "four", "five"]
    assert (one.base, one.secrets) == (old.identifier, ["token v3", "key v1"])
    assert (one.added, one.removed, one.packages) == (2, 2, 2), "a file and a package each"
    assert one.changed == 4, "VERSION, the lock, a text and a unit file"
    assert one.files == 6
    assert (one.units, two.units, five.units) == ([], ["tea-web.service"], []), "those of its roles"
    assert (two.added, two.changed, two.removed) == (one.added, one.changed, one.removed)
    for first in (three, four):
        assert (first.base, first.changed, first.removed, first.packages) == (None, 0, 0, 2)
        assert first.added == first.files + 2
        assert first.units == ["tea.service"]
        assert first.bytes > one.bytes > 0
    assert (five.added, five.changed, five.removed, five.bytes, five.files) == (0, 0, 0, 0, 0)


def test_what_lies_there_under_another_name_is_not_sent_again(releases: dict[str, Release]) -> None:
    new, old = releases["new"], releases["old"]
    (plan,) = server_plans(new, Snapshot(targets=(target("one", "bot", base=old.identifier),)))
    sent = {
        "VERSION": len("2.0.0\n"),
        "tea/fresh.py": len("F = 1\n"),
        "tea/text.py": len("T = 2\n"),
        "tea-web.service": len(UNIT.replace("-m tea", "-m tea.web")),
    }
    (plan_of_all,) = server_plans(new, Snapshot(targets=(target("one", "bot"),)))
    assert plan.bytes >= sum(sent.values())
    assert plan_of_all.bytes - plan.bytes >= len(UNIT) + len("print('tea')\n")
