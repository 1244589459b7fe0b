"""Everything that can be wrong before a server is touched: one sentence, the exit code, and nothing changed."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from deployments.models import Deployment, Release, Server
from deployments.releases.artifacts import contents, open_release
from engine.ssh.keys import generate_key
from tests.fixtures.fleet import TREE, UNIT, Fleet

pytestmark = pytest.mark.hosts


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and everything said by a management command."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(*arguments, stdout=out, stderr=err)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue() + err.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, out.getvalue() + err.getvalue()


@contextmanager
def untouched(fleet: Fleet) -> Iterator[None]:
    """What lies in the tree on the first server, and what runs, is the same before and after."""
    files = "find . -path ./.deploy -prune -o -printf '%p %i %T@ %m\\n' | sort"
    listing = f"cd {TREE} && {files}; systemctl show -p MainPID {UNIT}"
    before = fleet.machines[0].root(["sh", "-c", listing]).stdout
    yield
    assert fleet.machines[0].root(["sh", "-c", listing]).stdout == before


def refused(fleet: Fleet, code: int, *words: str) -> str:
    """Deploy the newest release in this process; expect `code`, and `words` in what is said."""
    got, said = run("deploy", "test", "--inline")
    assert got == code, said
    for word in words:
        assert word in said, said
    assert "Traceback" not in said
    return said


@pytest.fixture
def running(fleet: Fleet) -> Fleet:
    """A fleet whose first server runs 1.0.0, and 1.0.1 has been built."""
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0")).status == "succeeded"
    fleet.release("1.0.1")
    return fleet


def test_a_wrong_host_key_stops_everything(running: Fleet) -> None:
    _, other = generate_key()
    Server.objects.update(host_key=" ".join(other.split()[:2]))
    with untouched(running):
        refused(running, 1, "host key", "nothing was sent")


def test_a_wrong_user_is_told_apart_from_a_wrong_key(running: Fleet) -> None:
    Server.objects.update(user="nobody-here")
    with untouched(running):
        refused(running, 1, "nobody-here")


def test_without_sudo_rights_nothing_is_begun(running: Fleet) -> None:
    machine = running.machines[0]
    machine.root(["mv", "/etc/sudoers.d/dice-bot", "/root/sudoers.kept"])
    try:
        with untouched(running):
            refused(running, 1, "sudo", "provision")
    finally:
        machine.root(["mv", "/root/sudoers.kept", "/etc/sudoers.d/dice-bot"])


@pytest.mark.usefixtures("short_deadlines")
def test_a_server_that_is_switched_off(running: Fleet) -> None:
    machine = running.machines[0]
    machine.link(False)
    try:
        refused(running, 1, "does not answer")
    finally:
        machine.link(True)
    assert running.current() == Release.objects.get(version="1.0.0").identifier


def test_a_full_disk(running: Fleet) -> None:
    machine = running.machines[0]

    def grow(tree: Path) -> None:
        (tree / "dicebot" / "big.bin").write_bytes(bytes(8 << 20))

    running.release("1.0.2", grow)
    machine.disk("12M", path=TREE)
    try:
        refused(running, 1, "MB")
        assert running.current() == Release.objects.get(version="1.0.0").identifier
    finally:
        machine.disk_off()


def test_a_python_that_is_too_old(running: Fleet) -> None:
    def newer(tree: Path) -> None:
        text = (tree / "deploy.toml").read_text()
        (tree / "deploy.toml").write_text(text.replace('python = "3.11"', 'python = "3.13"'))

    running.release("1.0.2", newer)
    with untouched(running):
        refused(running, 1, "3.13", "3.11")


def test_a_corrupt_artifact(running: Fleet) -> None:
    with open_release(Release.objects.get(version="1.0.1")) as reader:
        path = contents().path(reader.manifest.by_path["VERSION"].sha256)
    path.chmod(0o640)
    path.write_text("6.6.6\n")
    with untouched(running):
        refused(running, 1, "VERSION", "Build")


def test_an_unknown_environment(fleet: Fleet) -> None:
    code, said = run("deploy", "moon")
    assert code == 2
    assert "moon" in said
    assert "production" in said


def test_no_release_built(fleet: Fleet) -> None:
    fleet.enrol()
    code, said = run("deploy", "test")
    assert code == 2
    assert "build_release" in said


def test_a_second_deployment_while_one_runs(running: Fleet) -> None:
    first = running.request(Release.objects.get(version="1.0.1"))
    with untouched(running):
        code, said = run("deploy", "test", "--no-wait")
    assert code == 8
    assert f"cancel {first.pk}" in said
    assert Deployment.objects.exclude(pk=first.pk).count() == 1


def test_a_plan_changes_nothing(running: Fleet) -> None:
    before = Deployment.objects.count()
    with untouched(running):
        code, said = run("deploy", "test", "--plan")
    assert code == 0
    assert "nothing has been changed" in said
    assert Deployment.objects.count() == before
