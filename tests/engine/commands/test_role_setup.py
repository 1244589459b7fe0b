"""What roles need on a server, as data."""

import base64
from pathlib import Path

import pytest

from engine.commands.proxying import caddyfile
from engine.commands.role_setup import pack_for
from tests.project.test_documented import ROOT

UNITS = {"cytube-backup.timer": b"[Timer]\n"}


def test_a_bot_needs_nothing_more() -> None:
    pack = pack_for(["bot"], "rosey-bot")
    assert (pack.packages, pack.public_ports, pack.operations) == ((), (), ())


def test_only_the_portal_opens_the_web_to_the_world() -> None:
    assert pack_for(["bot", "monitoring"], "rosey-bot").public_ports == ()
    assert pack_for(["portal", "monitoring"], "rosey-bot", "ops.example.org", UNITS).public_ports == (80, 443, 8443)
    assert pack_for(["portal"], "rosey-bot", "ops.example.org", UNITS).public_ports == (80, 443)


def test_another_projects_portal_gets_none_of_ours() -> None:
    assert pack_for(["portal"], "dice-bot", "dice.example.org", {}).operations == ()


@pytest.mark.parametrize(
    ("host", "site", "internal"),
    [
        ("ops.example.org", "https://ops.example.org {", False),
        ("192.0.2.7", "https://192.0.2.7 {", True),
        ("2001:db8::7", "https://[2001:db8::7] {", True),
        ("ops", "https://ops {", True),
        ("ops.internal", "https://ops.internal {", True),
    ],
)
def test_public_names_get_a_public_certificate(host: str, site: str, internal: bool) -> None:
    text = caddyfile(host, watched=False)
    assert site in text
    assert ("tls internal" in text) is internal


def test_the_watchers_pages_are_behind_the_sign_in_of_staff() -> None:
    text = caddyfile("ops.example.org", watched=True)
    for port in ("9090", "9093"):
        before, _, _ = text.partition(f"reverse_proxy 127.0.0.1:{port}")
        assert before.rindex("uri /auth/staff") > before.rindex("handle @")
    assert "9090" not in caddyfile("ops.example.org", watched=False)


def test_the_portal_is_told_its_address() -> None:
    operations = pack_for(["portal"], "rosey-bot", "2001:db8::7", UNITS).operations
    (settings,) = [each for each in operations if each.get("path") == "/etc/rosey-bot/portal.env"]
    text = base64.b64decode(settings["content"]).decode()
    assert "PORTAL_URL=https://[2001:db8::7]\n" in text
    assert "PORTAL_ALLOWED_HOSTS=2001:db8::7,[2001:db8::7],127.0.0.1,localhost\n" in text
    assert "ALERTMANAGER_URL" not in text


def test_a_portal_beside_its_monitoring_is_told_of_it() -> None:
    operations = pack_for(["portal", "monitoring"], "rosey-bot", "ops.example.org", UNITS).operations
    (settings,) = [each for each in operations if each.get("path") == "/etc/rosey-bot/portal.env"]
    text = base64.b64decode(settings["content"]).decode()
    assert "\nPROMETHEUS_URL=http://127.0.0.1:9090\nALERTMANAGER_URL=http://127.0.0.1:9093\n" in text


@pytest.mark.parametrize("path", sorted((ROOT / "systemd").glob("cytube-*.service")), ids=lambda path: path.name)
def test_every_unit_of_ours_runs_as_nobody_important_and_comes_back(path: Path) -> None:
    text = path.read_text()
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "MemoryMax="):
        assert line in text, line
    assert "User=rosey" in text
    assert "StartLimitIntervalSec" not in text.partition("[Service]")[2], "only [Unit] knows that key"
    if "Type=oneshot" not in text:
        assert "Restart=always" in text
        assert "WantedBy=multi-user.target" in text
