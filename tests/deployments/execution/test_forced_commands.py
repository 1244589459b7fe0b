"""A server that runs something else than what it is asked for: one sentence at once, and no waiting for the reaper."""

import pytest

from deployments.execution import reaper
from deployments.lifecycle import Status
from tests.deployments.execution.conftest import Scene
from tests.fixtures.scripted_server import ScriptedHost

SAYS = "This account is for backups only.\n"
SENTENCE = "What rosey asks for is not run on 127.0.0.1; instead the server says: This account is for backups only."


def forces(host: ScriptedHost) -> None:
    """From now on, for every connection."""
    host.says_instead = SAYS


@pytest.mark.parametrize("said", [SAYS, ""])
def test_a_forced_command_that_appeared_since_ends_the_deployment_at_once(scene: Scene, said: str) -> None:
    assert scene.deploy().status == Status.SUCCEEDED
    host = scene.hosts["one"]
    host.says_instead = said or "\n"
    row = scene.deploy(1)
    assert (row.status, row.outcome) == (Status.FAILED, "not_run"), row.sentence
    assert (SENTENCE if said else "instead the server says: nothing") in row.sentence
    assert "ForceCommand" in row.sentence
    host.says_instead = ""
    assert scene.runs() == {"one": "1.0.0", "two": "1.0.0"}
    assert scene.deploy(1).status == Status.SUCCEEDED


def test_one_that_appears_while_a_run_is_heard_leaves_nothing_running(scene: Scene) -> None:
    host = scene.hosts["one"]

    def cut(verb: str, heard: int) -> bool:
        if verb == "run" and heard > 500:
            forces(host)
            return True
        return False

    host.cuts = cut
    row = scene.deploy()
    assert (row.status, row.outcome) == (Status.INTERRUPTED, "not_run"), row.sentence
    assert SENTENCE in row.sentence
    assert "finishes, or reverts by itself at its deadline" in row.sentence
    assert reaper.reap() == []


def test_one_that_appears_before_a_server_is_reverted_needs_a_person(scene: Scene) -> None:
    two = scene.hosts["two"]
    two.says_instead = "\n"
    asked: list[str] = []

    def cut(verb: str, heard: int) -> bool:
        asked.append(verb)
        if verb == "run" and scene.hosts["one"].current:
            forces(scene.hosts["one"])
        return False

    scene.hosts["one"].cuts = cut
    row = scene.deploy()
    assert (row.status, row.outcome) == (Status.INTERRUPTED, "not_run"), row.sentence
    assert "one was activated and could not be reverted" in row.sentence
