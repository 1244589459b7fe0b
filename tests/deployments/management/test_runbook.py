"""Every command of the portal that the runbook prints, run as it stands there, against servers played from a script.

`provision`, and what is typed on the server itself, need a real one.
"""

import io
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from deployments.execution.run import execute
from deployments.lifecycle import Status
from deployments.models import Deployment
from tests.deployments.execution.conftest import Scene, releases, scene
from tests.fixtures.scripted_server import until
from tests.monitoring.sections import SECTIONS, commands, filled_in
from tests.stories.saying import said

__all__ = ["releases", "scene"]
ON_REAL_SERVERS = ("provision",)
PRINTED = [
    pytest.param(command, id=f"{name}: {command}")
    for name in SECTIONS
    for command in commands(name)
    if command.startswith("./manage.py") and command.split()[1] not in ON_REAL_SERVERS
]


@pytest.fixture
def worker(scene: Scene) -> Iterator[None]:
    """Somebody who carries out what is queued."""
    over = threading.Event()

    def work() -> None:
        try:
            while not over.wait(0.05):
                for number in Deployment.objects.filter(status=Status.QUEUED).values_list("pk", flat=True):
                    execute(number)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join(60)
    assert not thread.is_alive()


@pytest.fixture
def lived_in(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Two releases succeeded; a third request waits. What the letters of the page stand for."""
    assert scene.deploy(0).status == Status.SUCCEEDED
    assert scene.deploy(1).status == Status.SUCCEEDED
    monkeypatch.setattr("sys.stdin", io.StringIO("a secret\n"))
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("open sesame and some more words\n")
    return {"E": scene.home.name, "S": "one", "FILE": str(passphrase)}


def test_there_are_commands_in_most_sections() -> None:
    assert len(PRINTED) >= 15


@pytest.mark.parametrize("printed", PRINTED)
def test_a_command_of_the_runbook_does_what_it_says(
    printed: str, scene: Scene, lived_in: dict[str, str], request: pytest.FixtureRequest
) -> None:
    if " N" in printed:
        lived_in["N"] = str(scene.ask(0).pk)
    elif "--inline" not in printed:
        request.getfixturevalue("worker")
    before = scene.runs()
    code, told = said(*shlex.split(filled_in(printed, lived_in))[1:])
    assert code == 0, told
    if " rollback " in printed:
        until(lambda: scene.runs() == {"one": "1.0.0", "two": "1.0.0"})
    elif " N" in printed:
        assert "Cancelled" in told
    else:
        assert scene.runs() == before
