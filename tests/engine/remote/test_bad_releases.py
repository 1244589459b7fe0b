"""A bad release on a real host: it is found out, the server is put back, and the reason is said."""

from collections.abc import Iterable, Iterator

import pytest

from engine.artifacts.errors import ArtifactCorrupt
from engine.remote import HealthCheck
from engine.remote.result import Record
from tests.engine.remote.releases import DEADLINES, URL, Release, plan, role
from tests.engine.remote.servers import ROOT, Server

pytestmark = pytest.mark.hosts


def test_a_bad_configuration_alone_is_taken_back(running: Server, old: Release) -> None:
    result = running.run(old, 2, base=old, config={"crash": True})
    assert (result.status, result.reason) == ("reverted", "crash_loop"), result
    running.assert_runs(old)
    running.assert_tidy()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"crash": True}, "crash_loop"),
        ({"claims": "1.5"}, "wrong_version"),
        ({"connected": False}, "not_connected"),
        ({"port": 8009}, "no_answer"),
        ({"complains": "the database is gone"}, "error_logged"),
    ],
)
def test_a_bad_release_is_reverted_and_says_why(
    running: Server, old: Release, new: Release, config: dict[str, object], reason: str
) -> None:
    rows = running.rows()
    wanted = role(health=HealthCheck(url=URL, samples=3, interval=0.05, timeout=3.0))
    result = running.run(new, 2, base=old, config=config, roles=[wanted])
    assert (result.status, result.reason) == ("reverted", reason), result
    assert f"back on {old.identifier}" in result.sentence
    running.assert_runs(old)
    running.assert_tidy()
    assert running.releases == [old.identifier]
    assert running.rows() >= rows


def test_a_restart_alone_that_fails_is_made_good_by_another(running: Server, old: Release) -> None:
    """The same release with the same configuration: no link has to go back, and the service has to be well."""
    running.rehearse("verify", "exit 1")
    result = running.run(old, 2, base=old)
    assert (result.status, result.reason) == ("reverted", "rehearsed"), result
    assert result.facts["proof"]["samples"] == 3
    running.end_rehearsals()
    running.assert_runs(old)
    running.assert_tidy()


SQUATTER = """
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Release", "{release}")
        self.end_headers()
        self.wfile.write(json.dumps({{"version": "{version}", "connected": True}}).encode())
while True:
    try:
        HTTPServer(("127.0.0.1", 8001), Answer).serve_forever()
    except OSError:
        pass
"""


def test_somebody_elses_answer_on_the_port_proves_nothing(running: Server, old: Release, new: Release) -> None:
    """It says just what the new release would say. And it keeps the old one from its port: a person is needed."""
    code = SQUATTER.format(release=new.identifier, version=new.version)
    running.host.root(["systemd-run", "-q", "--unit=squatter", "python3", "-c", code])
    try:
        result = running.run(new, 2, base=old, config={"port": 8009}, deadlines={**DEADLINES, "revert": 5.0})
        assert (result.status, result.reason) == ("interrupted", "port_taken"), result
        assert "systemctl and journalctl" in result.sentence
        assert running.current == old.identifier
    finally:
        running.shell("systemctl stop squatter")
    running.assert_runs(old)  # systemd keeps trying, so it is back as soon as the port is
    running.assert_tidy()
    assert running.run(new, 3, base=old).status == "succeeded"


def test_a_first_deployment_that_fails_leaves_a_stopped_clean_server(server: Server, old: Release) -> None:
    result = server.run(old, 1, config={"crash": True})
    assert (result.status, result.reason) == ("reverted", "crash_loop"), result
    assert server.current is None
    assert server.releases == []
    assert server.unit in ("inactive", "failed")
    server.assert_tidy()
    assert server.run(old, 2).status == "succeeded"


def test_an_outage_of_the_other_side_does_not_punish_a_good_release(
    running: Server, old: Release, new: Release
) -> None:
    down = {"connected": False}
    assert running.run(old, 2, base=old, config=down, require_connected="no").status == "succeeded"
    result = running.run(new, 3, base=old, config=down)
    assert result.status == "succeeded", result
    assert result.facts["proof"]["roles"]["bot"]["connected"] is False
    running.assert_runs(new)


def test_a_check_that_says_no_changes_nothing(running: Server, old: Release, new: Release) -> None:
    strict = role(check=("sh", "-c", "echo unusable value in {config}/bot.json; exit 1"))
    records: list[Record] = []
    result = running.run(new, 2, records.append, base=old, roles=[strict])
    assert (result.status, result.reason) == ("failed", "check_failed"), result
    said = [r["text"] for r in records if r["kind"] == "log" and r["step"] == "dependencies"]
    assert said == [f"unusable value in {ROOT}/shared/config/{plan(new, 2).config_digest}/bot.json"]
    running.assert_runs(old)
    running.assert_tidy()
    assert running.releases == [old.identifier]


def test_an_artifact_that_is_damaged_says_so_and_nothing_is_changed(
    running: Server, old: Release, new: Release
) -> None:
    class Damaged(Release):
        def tar_of(self, paths: Iterable[str], /) -> Iterator[bytes]:
            pieces = super().tar_of(paths)
            yield next(pieces)
            raise ArtifactCorrupt("The artifact is damaged.")

    damaged = Damaged(new.version, new.contents)
    with pytest.raises(ArtifactCorrupt):
        running.run(damaged, 2, base=old)
    running.wait(f"flock -n {ROOT}/.deploy/lock true")
    with running.client() as client:
        result = client.recover()
    assert (result.status, result.reason) == ("failed", "link_lost"), result
    running.assert_runs(old)
    running.assert_tidy()
    assert running.run(new, 3, base=old).status == "succeeded"
