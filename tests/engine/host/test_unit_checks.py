"""What a server refuses beyond the rules: directories, sockets and names that somebody else has there."""

import json
import os
import pwd
from pathlib import Path

import pytest

from engine.host.provision import ownership, server_units, unit_checks
from engine.host.provision.ownership import Ours
from engine.host.provision.paths import Refused
from engine.host.provision.unit_checks import keep, refuse_foreign_owner, refuse_names_of_applications, refuse_units

ME = pwd.getpwuid(os.getuid()).pw_name
SERVICE = "[Service]\nUser=tea-bot\nExecStart=/bin/true\n"
KEEPS = (SERVICE + "StateDirectory=tea-bot-mail\n").encode()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server without units, on which tea-bot and dice-bot are, and its /run, /var/lib and units."""
    for name in ("lib", "run", "units", "records"):
        (tmp_path / name).mkdir()
    for name in ("tea-bot", "tea-bot-two", "dice-bot"):
        (tmp_path / "records" / f"{name}.json").write_text(json.dumps([f"directory /opt/{name}"]))
    monkeypatch.setattr(ownership, "RECORDS", str(tmp_path / "records"))
    monkeypatch.setattr(server_units, "_UNIT_DIRECTORIES", (str(tmp_path / "units"),))
    monkeypatch.setattr(server_units, "_STATE", {"StateDirectory": str(tmp_path / "lib")})
    monkeypatch.setattr(unit_checks, "OUR_UNITS", str(tmp_path / "units"))
    monkeypatch.setattr(server_units, "RUN", str(tmp_path / "run"))
    return tmp_path


def refused(units: dict[str, bytes], ours: Ours) -> None:
    refuse_units("tea-bot", units, {unit: ["tea-bot"] for unit in units}, [], ours)


@pytest.mark.parametrize("there", ["tea-bot-mail", "private/tea-bot-mail"])
def test_a_directory_behind_a_link_is_whose_the_record_says(server: Path, there: str) -> None:
    """A DynamicUser= of somebody else's keeps it in private/, behind a link of root's."""
    refused({"tea.service": KEEPS}, Ours())
    (server / "lib/private/tea-bot-mail").mkdir(parents=True)
    if there == "tea-bot-mail":
        (server / "lib/tea-bot-mail").symlink_to("private/tea-bot-mail")
    with pytest.raises(Refused, match=f"{there} is there already and belongs to root, for some service"):
        refused({"tea.service": KEEPS}, Ours())
    ours = Ours("", plan=False)
    keep(ours, KEEPS)
    refused({"tea.service": KEEPS}, ours)


def test_a_directory_that_shows_its_owner_is_its_owners(tmp_path: Path) -> None:
    refuse_foreign_owner(str(tmp_path), [ME])
    for taken in (False, True):
        with pytest.raises(Refused, match=f"belongs to {ME}"):
            refuse_foreign_owner(str(tmp_path), ["tea-bot"], taken)


SOCKET = b"[Socket]\nListenStream=/run/tea-bot.sock\n"
BOTH = {"tea.service": SERVICE.encode(), "tea.socket": SOCKET}


def test_a_socket_that_is_there_is_refused_unless_it_is_ours(server: Path) -> None:
    refused(BOTH, Ours())
    (server / "run/tea-bot.sock").touch()
    with pytest.raises(Refused, match="sock is there already and not ours"):
        refused(BOTH, Ours())
    ours = Ours("", plan=False)
    keep(ours, SOCKET)
    refused(BOTH, ours)


@pytest.mark.parametrize("said", ["/run/tea-bot.sock", "%t/tea-bot.sock", "/var/run/tea-bot.sock"])
def test_a_socket_that_another_unit_names_is_refused(server: Path, said: str) -> None:
    (server / "units/ledger.socket").write_text(f"[Socket]\nListenStream={said}\n")
    with pytest.raises(Refused, match="where ledger"):
        refused(BOTH, Ours())


@pytest.mark.parametrize("what", ["one-off", "units", "recover", "settle", "firewall"])
def test_a_name_that_root_gives_to_another_application_is_refused(server: Path, what: str) -> None:
    with pytest.raises(Refused, match="has the name of a unit that root makes"):
        refused({f"dice-bot-{what}.service": SERVICE.encode()}, Ours())


@pytest.mark.parametrize("word", ["tea-bot-two", "tea-bot-two-mail"])
def test_the_directories_of_an_application_with_a_longer_name_are_its_own(server: Path, word: str) -> None:
    for line in (f"[Service]\nStateDirectory={word}\n", f"[Socket]\nListenStream=/run/{word}.sock\n"):
        with pytest.raises(Refused, match="which is of tea-bot-two"):
            refuse_names_of_applications("tea-bot", "tea.service", line.encode())
        refuse_names_of_applications("tea-bot-two", "tea.service", line.encode())


SHARED = {
    "ledger-api.service": "[Service]\nUser=ledger\nDynamicUser=yes\n",
    "ledger@.service": "[Service]\nDynamicUser=True\n",
}


@pytest.mark.parametrize("unit", SHARED)
def test_an_account_that_systemd_makes_for_others_is_not_shared(server: Path, unit: str) -> None:
    """By its User=, or by its name without an instance."""
    (server / "units" / unit).write_text(SHARED[unit])
    own = {"ledger.service": b"[Service]\nDynamicUser=yes\nExecStart=/bin/true\n"}
    with pytest.raises(Refused, match=f"would run as ledger, the account that systemd makes for {unit}"):
        refused(own, Ours())
    ours = Ours()
    ours.things = {f"file {server}/units/{unit}"}
    refused(own, ours)
    (server / "units" / unit).write_text(SHARED[unit].replace("DynamicUser=", "X-DynamicUser="))
    refused(own, Ours())
