"""A release whose packages a server cannot install is refused when it is asked for, with what to build instead."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.models import Deployment, Environment, Release, Server
from deployments.releases import compatibility
from deployments.requests.snapshots import take_snapshot
from deployments.servers.provisioning import setup_for
from engine.artifacts.artifact import build_artifact
from engine.artifacts.selection import select
from engine.artifacts.wheels import DirectoryWheels
from engine.errors import InvalidRequest
from tests.deployments.management.commands import exit_code
from tests.engine.artifacts.projects import lock_line, wheel
from tests.fixtures.records import EXAMPLE, stored

Build = Callable[..., Release]


@pytest.fixture
def build(db: None, state_dir: Path, tmp_path: Path) -> Build:
    """`build("1.0", "aarch64", tag="…")`: the example bot for this architecture, with a package of that tag."""

    def make(version: str, architecture: str, tag: str, python: str = "3.11", unit: str = "") -> Release:
        tree = tmp_path / version
        shutil.copytree(EXAMPLE, tree)
        (tree / "VERSION").write_text(f"{version}\n")
        with (tree / "systemd" / "dice-bot.service").open("a") as file:
            file.write(unit)
        (tree / "dicebot" / "vendored.whl").touch()  # a file of the project's own, which nobody installs
        described = (tree / "deploy.toml").read_text().replace('python = "3.11"', f'python = "{python}"')
        described = "\n".join(line for line in described.splitlines() if not line.startswith("identity"))
        (tree / "deploy.toml").write_text(f'architecture = "{architecture}"\n{described}')
        (tree / "requirements.txt").write_text(lock_line(wheel(tree / "wheels", "stem", tag=tag)))
        return stored(build_artifact(tree, None, DirectoryWheels(tree / "wheels"), tmp_path / f"built-{version}"))

    return make


@pytest.fixture
def servers(db: None, ready_server: Callable[[Environment], Server]) -> list[Server]:
    """Two of `test`, the second of which is an arm64 one."""
    test = Environment.objects.get(name="test")
    first = ready_server(test)
    first.facts = {"architecture": "x86_64", "python": "3.11.2"}
    first.save()
    second = Server.objects.get(pk=first.pk)
    second.pk, second.name, second.host = None, "test-2", "second.invalid"
    second.facts = {"architecture": "aarch64", "python": "3.13.5"}
    second.save()
    return [first, second]


def asked(release: Release) -> None:
    take_snapshot(environment=Environment.objects.get(name="test"), release=release)


def test_pure_packages_go_to_servers_of_several_architectures(build: Build, servers: list[Server]) -> None:
    asked(build("1.0", "x86_64", "py3-none-any"))
    asked(build("1.1", "aarch64", "py2.py3-none-any"))


def test_a_server_of_another_architecture_refuses_a_release_and_says_what_to_build(
    build: Build, servers: list[Server]
) -> None:
    first, second = servers
    tag = "cp311-abi3-manylinux_2_17_{}"
    release = build("1.0", "x86_64", tag.format("x86_64"))
    with pytest.raises(InvalidRequest, match=r"test-2 was aarch64 with Python 3\.13 .* cannot install stem-1\.0") as no:
        asked(release)
    assert 'architecture = "aarch64"' in no.value.hint
    assert "several architectures" in no.value.hint
    assert "environments add" in no.value.hint
    assert exit_code("deploy", "test", "--release", release.identifier, "--plan") == 2
    Server.objects.filter(pk=first.pk).delete()
    with pytest.raises(InvalidRequest, match="test-2 was aarch64") as no:
        asked(release)
    assert "several" not in no.value.hint
    asked(build("1.1", "aarch64", tag.format("aarch64"), "3.13"))  # as the hint says
    second.facts = {}
    second.save()
    asked(release)  # of a server that nobody has looked at nothing is claimed


def test_a_server_with_another_python_refuses_packages_that_are_for_one_alone(
    build: Build, servers: list[Server]
) -> None:
    servers[1].delete()
    newer = build("1.0", "x86_64", "cp313-cp313-manylinux_2_17_x86_64", "3.13")
    with pytest.raises(InvalidRequest, match=r"and the release needs 3\.13") as no:
        asked(newer)
    assert 'python = "3.11"' in no.value.hint
    Server.objects.update(facts={"architecture": "x86_64", "python": "3.13.5"})
    asked(newer)
    with pytest.raises(InvalidRequest, match=r"cannot install stem-1\.0-cp311") as no:
        asked(build("1.1", "x86_64", "cp311-cp311-manylinux_2_17_x86_64"))
    assert 'with python = "3.13" in' in no.value.hint
    Server.objects.update(facts={"architecture": "x86_64", "python": "3.9.2"})
    with pytest.raises(InvalidRequest, match=r"the release needs 3\.11") as no:
        asked(build("1.2", "x86_64", "py3-none-any"))
    assert no.value.hint.startswith("Upgrade ")


def test_provisioning_asks_a_server_for_the_architecture_of_the_packages(build: Build, servers: list[Server]) -> None:
    pure, native = build("1.0", "x86_64", "py3-none-any"), build("1.1", "aarch64", "cp311-abi3-manylinux_2_17_aarch64")
    servers[0].host = "127.0.0.1"
    assert setup_for(servers[0], pure).architectures == []
    assert setup_for(servers[0], native).architectures == ["aarch64"]


def test_a_release_that_was_stored_under_earlier_rules_is_refused_by_todays(
    build: Build, servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("engine.artifacts.artifact.tree_problems", lambda tree, deploy: (select(tree, deploy)[0], []))
        release = build("1.0", "x86_64", "py3-none-any", unit="[Service]\nExecStartPre=+/bin/sh -c id\n")
    said = r"was stored under earlier rules, and today's refuse it: systemd/dice-bot\.service.*ExecStartPre"
    for _ in range(2):
        with pytest.raises(InvalidRequest, match=said) as refused:
            asked(release)
    assert (refused.value.reason, refused.value.hint) == (
        "release_against_rules",
        "Correct it, raise VERSION and build it again.",
    )
    assert exit_code("deploy", "test", "--release", str(release.identifier), "--no-wait") == 2
    assert not Deployment.objects.exists()


def test_a_release_is_looked_at_once(build: Build, servers: list[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    release = build("1.0", "x86_64", "py3-none-any")
    monkeypatch.setattr(compatibility, "_in_order", set())
    monkeypatch.setattr(compatibility, "refuse_what_no_build_makes", lambda reader: looked.append(reader.digest))
    asked(release)
    asked(release)
    assert looked == [release.manifest_digest]
