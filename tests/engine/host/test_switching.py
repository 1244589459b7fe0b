"""Root's program that takes units over: what it has systemd do, whatever a release's files name."""

from collections.abc import Sequence

import pytest

from engine.host.provision import switching, units

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
    switching._tell_systemd(["-H.service"], True, True)
    units.unit_state("-H.service")
    named = [argv for argv in calls if "-H.service" in argv]
    assert len(named) == 4
    assert all(argv.index("--") == argv.index("-H.service") - 1 for argv in named), named
