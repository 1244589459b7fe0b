"""Root's program that takes units over: what it has systemd do, whatever a release's files name."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.host.provision import switching, units
from engine.host.provision.machine import Machine
from engine.host.provision.ownership import Ours
from engine.host.provision.unit_bounds import DROP_IN

Calls = list[list[str]]
SOCKET = "[Socket]\nListenStream=9000\n"
NAMED = {
    "in a section for others": SOCKET + "[X-a]\nService=ssh.service\n",
    "an option": SOCKET + "[X-a]\nService=--host=evil.example\n",
    "an option, where systemd looks": SOCKET + "Service=--host=evil.example\n",
    "somebody else's": SOCKET + "Service=ssh.service\n",
    "every unit": SOCKET + "Service=*.service\n",
    "two": SOCKET + "Service=tea.service ssh.service\n",
    "another of the release, no service": SOCKET + "Service=tea.timer\n",
    "in a section of another type": SOCKET + "[Unit]\nService=ssh.service\n",
    "what was taken back": SOCKET + "Service=ssh.service\nService=\n",
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What systemctl would be called with."""
    called: Calls = []

    def call(argv: list[str], *_: object) -> tuple[int, str]:
        called.append(argv[1:])
        return 0, ""

    for module in (switching, units):
        monkeypatch.setattr(module, "call", call)
        monkeypatch.setattr(module, "must", lambda argv, *_: call(argv)[1])
    return called


def release(**changed: str) -> dict[str, bytes]:
    usual = {"tea.service": "", "tea.timer": "", "tea.socket": SOCKET, "other.service": ""}
    return {unit: text.encode() for unit, text in {**usual, **changed}.items()}


@pytest.mark.parametrize("case", NAMED)
def test_a_socket_has_nothing_stopped_but_what_is_the_releases(case: str, calls: Calls) -> None:
    switching._close(["xy.socket"], release(**{"xy.socket": NAMED[case]}))
    assert calls == [["stop", "--", "xy.socket"]]


@pytest.mark.parametrize(
    ("unit", "text", "stopped"),
    [
        ("tea.socket", SOCKET, ["tea.service"]),
        ("tea.socket", SOCKET + "[X-a]\nService=other.service\n", ["tea.service"]),
        ("xy.socket", SOCKET + "Service=ssh.service\nService=\nService=other.service\n", ["other.service"]),
    ],
)
def test_a_socket_closes_with_the_service_behind_it(unit: str, text: str, stopped: Sequence[str], calls: Calls) -> None:
    switching._close([unit], release(**{unit: text}))
    assert calls == [["stop", "--", unit, *stopped]]


def test_the_names_of_units_are_no_options(calls: Calls) -> None:
    switching._tell_systemd(["-H.service"], True)
    units.unit_state("-H.service")
    named = [argv for argv in calls if "-H.service" in argv]
    assert len(named) == 4
    assert all(argv.index("--") == argv.index("-H.service") - 1 for argv in named), named


def test_a_drop_in_of_an_earlier_version_that_changes_units_of_others_goes_whatever_is_live(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The one beside `dpkg-.service` goes with the unit; the one beside `tea.service` stays."""
    monkeypatch.setattr(switching, "OUR_UNITS", str(tmp_path))
    removed: list[str] = []
    monkeypatch.setattr(switching, "remove_root_file", removed.append)
    ours = Ours("", plan=False)
    units = ("dpkg-.service", "tea.service")
    ours.things = {f"file {tmp_path}/{path}" for unit in units for path in (unit, f"{unit}.d/{DROP_IN}")}
    wide = f"{tmp_path}/dpkg-.service.d/{DROP_IN}"
    assert switching.bounds_of_others(ours) == [wide]
    switching._end_reaching_others("tea", ours)
    assert set(removed) == {wide, f"{tmp_path}/dpkg-.service"}
    assert ours.things == {f"file {tmp_path}/tea.service", f"file {tmp_path}/tea.service.d/{DROP_IN}"}
    assert calls[0] == ["stop", "--", "dpkg-.service"]
    assert calls[-1] == ["daemon-reload"]
    assert not [argv for argv in calls if "tea.service" in argv]


def test_provisioning_and_a_look_name_such_a_drop_in(tmp_path: Path) -> None:
    machine = Machine(True, [])
    machine.ours.things = {f"file {tmp_path}/dpkg-.service.d/{DROP_IN}"}
    for look in (units.op_units, units.op_bounds):
        before, after = look(machine, {"name": "tea", "roles": ["bot"]})
        assert f"dpkg-.service.d/{DROP_IN} beside units of others" in before
        assert after == "removed"
