"""What is said of a server that is not as its record says, and what somebody may do about it."""

from typing import Any

import pytest

from dashboard.metrics import PortalCollector
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Secret, Server
from deployments.servers.drift import as_far_as_looked, drift_of, provisioning_drift, secret_faults
from deployments.servers.drift_answers import accept_drift, put_back
from deployments.servers.inspection import Extent, store_findings
from engine.errors import Conflict, InvalidRequest, NotAllowed
from engine.remote.inventory import InventoryCheck
from engine.remote.reports import Report
from tests.deployments.world import World

UNIT: dict[str, Any] = {
    "unit": "bot.service",
    "active": "active",
    "problem": "",
    "enabled": "enabled",
    "needs_reload": False,
    "sha256": "a" * 64,
    "path": "/etc/systemd/system/bot.service",
    "drop_ins": [],
}
FACTS: dict[str, Any] = {
    "current": None,
    "config": "",
    "config_whole": None,
    "hash": {},
    "secrets": {},
    "environments": {"bot": []},
    "units": [UNIT],
}


def differences(**changes: Any) -> list[str]:
    return drift_of(Server(name="prod-1", unit_files={"bot.service": "a" * 64}), {**FACTS, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"problem": "bot.service is inactive (dead)."}, "bot.service is inactive (dead)."),
        ({"enabled": "disabled"}, "bot.service is disabled: a boot does not start it."),
        ({"enabled": "masked"}, "bot.service is masked: a boot does not start it."),
        ({"needs_reload": True}, "systemd has not read the files of bot.service since they were changed."),
        ({"sha256": "b" * 64}, "The unit file bot.service differs from the one of the release."),
        (
            {"path": "/run/systemd/system/bot.service"},
            "systemd reads bot.service from /run/systemd/system/bot.service.",
        ),
        (
            {"drop_ins": ["/etc/systemd/system/bot.service.d/o.conf"]},
            "/etc/systemd/system/bot.service.d/o.conf changes",
        ),
        ({"drop_ins": ["/run/systemd/system.control/bot.service.d/50-Nice.conf"]}, "50-Nice.conf changes bot.service."),
    ],
)
def test_a_unit_is_as_recorded_or_named(changes: dict[str, Any], words: str) -> None:
    (said,) = differences(units=[{**UNIT, **changes}])
    assert words in said


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"enabled": "static"},
        {"drop_ins": ["/usr/lib/systemd/system/service.d/10-timeout.conf"]},
        {"drop_ins": ["/etc/systemd/system/bot.service.d/10-cytube-ops.conf"]},
    ],
)
def test_what_the_system_or_provisioning_adds_to_a_unit_is_no_drift(changes: dict[str, Any]) -> None:
    assert differences(units=[{**UNIT, **changes}]) == []


def test_an_edited_configuration_is_drift_although_it_has_the_name_of_the_deployed_one() -> None:
    assert differences(config_whole=True) == []
    assert differences(config_whole=False) == ["Its configuration was changed on the server after it was deployed."]


def test_what_was_added_to_an_environment_is_drift_and_one_without_a_note_is_not_called_recorded() -> None:
    (said,) = differences(environments={"bot": [["lib/evil.pth", "extra"]]})
    assert said == "One file of the Python environment of the role bot differs, lib/evil.pth first (extra)."
    looked = InventoryCheck(40, [])
    assert as_far_as_looked(Server(), FACTS, looked, well=True) == (
        "Release, configuration, units, secrets and 40 things of provisioning: as recorded."
    )
    unknown = as_far_as_looked(Server(), {**FACTS, "environments": {"bot": None}}, looked, well=True)
    assert unknown.endswith("Not looked at: the Python environment of the role bot (made by an earlier version).")


def test_what_root_found_is_said_with_both_states_and_the_way_back() -> None:
    file = Report("file", "sudo for rosey", "changed", "", "sha256 aa, root:root 0644", "sha256 bb, root:root 0440")
    firewall = Report("firewall", "firewall", "changed", "", "no rules", "our own ports only")
    failed = Report("directory", "directory /opt/x", "failed", "/opt/x is a link.")
    assert provisioning_drift(Server(), InventoryCheck(9, [file, firewall, failed])) == [
        "sudo for rosey: its content was changed and root:root 0644, not root:root 0440. "
        "Run `provision` to put it back.",
        "firewall: no rules, not our own ports only. Run `provision` to put it back.",
        "directory /opt/x: /opt/x is a link. Run `provision` to put it back.",
    ]


def test_that_root_may_not_look_any_more_is_drift_and_that_it_never_could_is_said() -> None:
    silent = InventoryCheck(0, [], "sudo: a password is required")
    assert provisioning_drift(Server(), silent) == []
    assert "Not looked at: what provisioning put there; run `provision` once" in as_far_as_looked(
        Server(), FACTS, silent, well=True
    )
    (said,) = provisioning_drift(Server(drift={"things": 40}), silent)
    assert "cannot any more (sudo: a password is required)" in said


def test_a_secret_whose_value_nobody_could_compare_is_not_called_recorded(world: World) -> None:
    server, looked = world.servers["production"], InventoryCheck(40, [])
    server.secret_versions = {"portal-token": 1}
    assert secret_faults(server, {"portal-token": {"proof": "f" * 64, "mode": "0400"}}, "nonce") == {}
    assert as_far_as_looked(server, FACTS, looked, well=True) == (
        "Release, configuration, units and 40 things of provisioning: as recorded. "
        "Not looked at: the value of the secret portal-token (the portal does not hold it)."
    )
    Secret.objects.create(environment=server.environment, name="dice-password", version=1, value="x", created_by="x")
    server.secret_versions = {"portal-token": 1, "dice-password": 1}
    said = as_far_as_looked(server, FACTS, looked, well=True)
    assert said.startswith("Release, configuration, units, secrets and 40 things of provisioning: as recorded.")
    assert said.endswith("Not looked at: the value of the secret portal-token (the portal does not hold it).")
    server.secret_versions = {"dice-password": 2}
    assert "the value of the secret dice-password" in as_far_as_looked(server, FACTS, looked, well=True)


def test_what_was_not_looked_at_is_on_the_servers_page(world: World, drifted: Server) -> None:
    extent = Extent(40, ["the value of the secret portal-token (the portal does not hold it)"])
    assert store_findings(world.people["operator"], drifted, [], {}, extent)
    page = world.client("viewer").get(f"/admin/deployments/server/{drifted.pk}/change/").content.decode()
    assert (
        "It is as recorded. 40 things that provisioning made were looked at beside the release. Not looked at: " in page
    )
    assert "the value of the secret portal-token (the portal does not hold it)." in page


@pytest.fixture
def drifted(world: World) -> Server:
    """A server that runs the first release and differs in two things."""
    world.succeeded(world.releases[0])
    server = world.servers["production"]
    Server.objects.filter(pk=server.pk).update(drift={"differences": ["A differs.", "B differs."], "things": 3})
    server.refresh_from_db()
    return server


def metric(server: Server) -> float:
    families = {family.name: family for family in PortalCollector().collect()}
    values = {sample.labels["server"]: sample.value for sample in families["portal_server_drift"].samples}
    return values[server.name]


def test_accepting_is_recorded_with_a_reason_and_ends_the_alert_until_something_else_differs(
    world: World, drifted: Server
) -> None:
    assert metric(drifted) == 1
    assert selectors.drifted_servers() == [drifted]
    accept_drift(actor=world.people["operator"], server=drifted, reason="debugging on Monday")
    event = AuditEvent.objects.get(name="server.drift_accepted")
    assert event.data == {"differences": ["A differs.", "B differs."], "reason": "debugging on Monday"}
    assert metric(drifted) == 0
    assert selectors.drifted_servers() == []
    Server.objects.filter(pk=drifted.pk).update(drift={**drifted.drift, "differences": ["A differs.", "C differs."]})
    drifted.refresh_from_db()
    assert drifted.open_drift == ["C differs."]
    assert metric(drifted) == 1


def test_what_was_accepted_stays_so_while_every_look_finds_it_and_is_new_when_it_comes_again(
    world: World, drifted: Server
) -> None:
    accept_drift(actor=world.people["operator"], server=drifted, reason="debugging on Monday")
    open_after = []
    for found in (["A differs.", "B differs."], ["B differs.", "C differs."], ["A differs.", "B differs."]):
        assert store_findings(world.people["operator"], drifted, found, {}, Extent(3))
        drifted.refresh_from_db()
        open_after.append(drifted.open_drift)
    assert open_after == [[], ["C differs."], ["A differs."]]
    assert drifted.drift["accepted"] == ["B differs."]


def test_what_was_accepted_before_one_file_differs_in_grammar_stays_so(world: World, drifted: Server) -> None:
    said = "One file of the release %s, a.py first (content)."
    Server.objects.filter(pk=drifted.pk).update(drift={"differences": [], "accepted": [said % "differ"]})
    for _ in range(2):
        assert store_findings(world.people["operator"], drifted, [said % "differs"], {}, Extent(3))
        drifted.refresh_from_db()
        assert drifted.open_drift == []
    assert drifted.drift["accepted"] == [said % "differs"]


@pytest.mark.parametrize("who", ["none", "viewer"])
def test_nobody_without_the_role_accepts_or_puts_back(world: World, drifted: Server, who: str) -> None:
    with pytest.raises(NotAllowed):
        accept_drift(actor=world.people[who], server=drifted, reason="because")
    with pytest.raises(NotAllowed):
        put_back(actor=world.people[who], server=drifted)


def test_accepting_needs_a_reason_and_something_that_differs(world: World, drifted: Server) -> None:
    actor: Actor = world.people["operator"]
    with pytest.raises(InvalidRequest, match="reason"):
        accept_drift(actor=actor, server=drifted, reason=" ")
    accept_drift(actor=actor, server=drifted, reason="because")
    with pytest.raises(Conflict, match="nothing that is not accepted"):
        accept_drift(actor=actor, server=drifted, reason="because")
    with pytest.raises(Conflict, match="nothing to put back"):
        put_back(actor=actor, server=drifted)


def test_putting_back_asks_for_the_release_of_the_record_and_waits_for_its_approval(
    world: World, drifted: Server
) -> None:
    deployment = put_back(actor=world.people["operator"], server=drifted)
    assert deployment.release == world.releases[0]
    assert deployment.environment == world.production
    assert deployment.status == Status.AWAITING_APPROVAL
    assert drifted.name in deployment.reason


def test_the_control_room_counts_names_and_offers_both_answers(world: World, drifted: Server) -> None:
    overview = world.client("operator").get("/admin/").content.decode()
    assert f"<strong>{drifted}</strong> differs from its record" in overview
    assert "A differs. And 1 more." in overview
    assert "1 differs" in overview
    page = world.client("operator").get(f"/admin/deployments/server/{drifted.pk}/change/").content.decode()
    assert "B differs." in page
    assert "Put it back" in page
    assert "Accept the differences" in page
