"""Drift on a real server: each thing that a release or a provisioning put there, changed alone, is found and named."""

import pytest

from deployments.core.actors import system_actor
from deployments.environments.secrets import set_secret
from deployments.lifecycle import Status
from deployments.servers.inspection import Finding, find_drift
from tests.fixtures.fleet import TREE, UNIT, Fleet, make_ready, setup_for

pytestmark = pytest.mark.hosts

CONFIG = f"{TREE}/current/.config/dice.json"
SITE = f"{TREE}/current/.envs/bot/lib/python3*/site-packages"
DROP_IN = f"/etc/systemd/system/{UNIT}.d"

OF_A_RELEASE = {
    "edited configuration": (f"echo >> {CONFIG}", "Its configuration was changed on the server"),
    "added module": (f"echo 'import os' > $(echo {SITE})/evil.pth", "of the Python environment of the role bot differ"),
    "changed module": (
        f"chmod u+w {TREE}/current/.envs/bot/pyvenv.cfg; echo >> {TREE}/current/.envs/bot/pyvenv.cfg",
        "pyvenv.cfg first (content)",
    ),
    "changed file": (
        f"chmod 644 {TREE}/current/VERSION; echo 9 > {TREE}/current/VERSION",
        "One file of the release differs, VERSION first",
    ),
    "changed unit": (
        f"echo '# x' >> /etc/systemd/system/{UNIT}; systemctl daemon-reload",
        f"The unit file {UNIT} differs",
    ),
    "file of another mode": (f"chmod 644 {TREE}/current/VERSION", "VERSION first (mode)"),
}
"""What a deployment of the same release puts back."""
OF_PROVISIONING = {
    "no sudo rule to look by": ("sed -i '/ look /d' /etc/sudoers.d/dice-bot", "Root could look there"),
    "sudo rules": (f"echo '# more' >> /etc/sudoers.d/{TREE[5:]}", "sudo for rosey: its content was changed"),
    "sudo for units": ("echo '# more' >> /etc/sudoers.d/dice-bot_units", "/etc/sudoers.d/dice-bot_units changed"),
    "bounds of a unit": (
        f"echo '# x' >> {DROP_IN}/10-cytube-ops.conf; systemctl daemon-reload",
        "bounds of the units of dice-bot:",
    ),
    "what takes units over": (
        "echo '# x' >> /usr/local/lib/cytube-ops/dice-bot-units",
        "what takes units over: its content was changed",
    ),
    "the program of what takes units over": (
        "echo '# x' >> /usr/local/lib/cytube-ops/dice-bot-units-program.py",
        "the program of what takes units over: its content was changed",
    ),
    "mode of sudo rules": (
        f"chmod 644 /etc/sudoers.d/{TREE[5:]}",
        "sudo for rosey: root:root 0644, not root:root 0440",
    ),
    "firewall table": ("nft delete table inet dice_bot", "firewall: no rules"),
    "firewall rule": (
        "nft insert rule inet dice_bot input tcp dport 8101 accept",
        "firewall: our own ports only, other",
    ),
    "rules at boot": ("echo > /etc/nftables.d/dice-bot.nft", "other rules at boot"),
    "owner": (f"chown root {TREE}/backups", f"directory {TREE}/backups: root:rosey 0700, not rosey:rosey 0700"),
    "mode": (f"chmod 777 {TREE}/shared/data", f"directory {TREE}/shared/data: dice-bot:dice-bot 2777"),
    "journal limits": ("rm /etc/systemd/journald.conf.d/dice-bot.conf", "journal limits: missing"),
    "group": ("gpasswd -d rosey systemd-journal", "rosey in systemd-journal: no member, not member"),
    "shell": ("usermod -s /bin/sh dice-bot", "user dice-bot: shell /bin/sh"),
    "unit of ours": (
        "systemctl disable dice-bot-recover.service",
        "unit dice-bot-recover.service: disabled, not enabled",
    ),
    "file of a unit of ours": (
        "echo '# x' >> /etc/systemd/system/dice-bot-firewall.service",
        "unit file dice-bot-firewall.service: its content was changed",
    ),
}
"""What `provision` puts back."""
BY_HAND = {
    "disabled unit": (f"systemctl disable {UNIT}", f"{UNIT} is disabled: a boot", f"systemctl enable {UNIT}"),
    "drop-in": (
        f"printf '[Service]\\nNice=1\\n' > {DROP_IN}/o.conf; systemctl daemon-reload",
        f"{DROP_IN}/o.conf changes {UNIT}.",
        f"rm {DROP_IN}/o.conf; systemctl daemon-reload",
    ),
    "stopped unit": (f"systemctl stop {UNIT}", f"{UNIT} is inactive", f"systemctl start {UNIT}"),
}


def found(fleet: Fleet) -> Finding:
    (finding,) = find_drift(actor=system_actor("tests"), environment=fleet.environment)
    return finding


def assert_only(fleet: Fleet, what: str, change: str, words: str) -> None:
    """After this change, and no other, drift is one sentence with these words."""
    fleet.machines[0].root(["sh", "-c", change])
    finding = found(fleet)
    (difference,) = fleet.server().drift["differences"] or [finding.sentence]
    assert words in difference, what
    assert finding.well is False, what
    assert "as recorded" not in finding.sentence, what


def assert_well(fleet: Fleet, what: str) -> None:
    finding = found(fleet)
    assert finding.well, f"after {what}: {finding.sentence}"


def test_each_thing_that_is_changed_alone_is_named_and_what_puts_it_back_does(fleet: Fleet) -> None:
    fleet.enrol()
    release = fleet.release("1.0.0")
    assert fleet.deploy(release).status == Status.SUCCEEDED
    fresh = found(fleet)
    assert fresh.well, fresh.sentence
    assert "things of provisioning: as recorded." in fresh.sentence
    for what, (change, words) in OF_A_RELEASE.items():
        assert_only(fleet, what, change, words)
        assert fleet.deploy(release).status == Status.SUCCEEDED
        assert_well(fleet, what)
    for what, (change, words) in OF_PROVISIONING.items():
        assert_only(fleet, what, change, words)
        setup = setup_for(fleet.provisioned.hosts, fleet.provisioned.public_key)  # it tells the time of now
        make_ready(fleet.provisioned.hosts, fleet.machines[0], setup)
        assert_well(fleet, what)
    for what, (change, words, undo) in BY_HAND.items():
        assert_only(fleet, what, change, words)
        fleet.machines[0].root(["sh", "-c", undo])
        assert_well(fleet, what)


def test_a_secret_of_another_value_or_mode_is_found_and_its_value_is_shown_nowhere(fleet: Fleet) -> None:
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0")).status == Status.SUCCEEDED
    set_secret(actor=system_actor("tests"), environment=fleet.environment, name="pass", value="correct horse")
    assert_well(fleet, "the delivery")
    path = f"{TREE}/shared/secrets/pass"
    assert_only(
        fleet, "a changed value", f"printf wrong > {path}", "The secret pass has another value than was delivered"
    )
    assert "secret_proofs" not in found(fleet).facts
    fleet.machines[0].root(["sh", "-c", f"printf 'correct horse' > {path}"])
    assert_only(fleet, "another mode", f"chmod 440 {path}", "The secret pass has the mode 0440, not 0400.")
    fleet.machines[0].root(["chmod", "400", path])
    assert_only(fleet, "a secret that is gone", f"rm {path}", "The secret pass is not readable there.")


def test_what_nobody_looked_at_is_not_called_recorded(fleet: Fleet) -> None:
    """A server as an earlier version left it: no list, no sudo rule for looking, no note of the environment."""
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0")).status == Status.SUCCEEDED
    machine, sudoers = fleet.machines[0], "/etc/sudoers.d/dice-bot"
    machine.root(["sh", "-c", f"sed -i '/ look /d' {sudoers}; rm -f {TREE}/envs/*/.files"])
    finding = found(fleet)
    assert finding.well
    assert finding.sentence.startswith("Release, configuration, units, secrets: as recorded. Not looked at: what")
    assert "run `provision` once" in finding.sentence
    assert "the Python environment of the role bot" in finding.sentence
    setup = setup_for(fleet.provisioned.hosts, fleet.provisioned.public_key)
    make_ready(fleet.provisioned.hosts, machine, setup)
    assert "things of provisioning" in found(fleet).sentence
