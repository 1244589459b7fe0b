"""A server played from a script: what systemctl, sudo and journalctl would do and say, for whom there is no systemd.

Stands beside the real one (`systemd`, `processes`) and is packed with nothing: the agent's own code runs as it is, and
only these three programs are answered here. What the server is like lies in a directory, so that supervisor, worker and
whoever looks see the same.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .files import names_in, read_bytes, read_json, write_atomic
from .limits import SUDO, SYSTEMCTL
from .processes import Tools
from .systemd import sudo_commands

NOBODY = 1 << 22  # the first pid that Linux never gives: a process that has ended


class Machine:
    """One server: its units, what their next starts come to, and which of the three programs say no."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def path(self, name: str) -> str:
        """Where a unit, or what is said of the three programs, is kept."""
        return os.path.join(self._directory, name)

    def unit(self, name: str, **shown: str) -> Dict[str, str]:
        """How a unit is, with these properties changed; made when there is none, loaded and inactive."""
        path = self.path(name)
        usual = {"LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead", "NRestarts": "0", "MainPID": "0"}
        usual = {**usual, "FragmentPath": "/etc/systemd/system/" + name}
        known = read_json(path, {})
        values = {**usual, "Id": name, "Job": "", **known, **shown}
        if values != known:  # who only looks takes nothing back that somebody else changes just now
            write_atomic(path, json.dumps(values).encode(), sync=False)
        return values

    def next_starts(self, name: str, *ways: str) -> None:
        """What the next starts come to: "active", "failed", "looping", or "stuck" (an old process does not end)."""
        self.unit(name, Starts=" ".join(ways))

    def says_no(self, program: str, sentence: str) -> None:
        """From now on "show", "sudo" or "journal" fails with this sentence."""
        write_atomic(self.path(".no-" + program), sentence.encode(), sync=False)

    def logs(self, **entry: str) -> None:
        """Have the journal hold an error of a unit."""
        with open(self.path(".errors"), "a") as file:
            file.write(json.dumps(entry) + "\n")

    @property
    def asked(self) -> List[str]:
        """The commands that needed root, in order."""
        return [str(line) for line in read_json(self.path(".asked"), [])]

    @contextmanager
    def playing(self) -> Iterator[None]:
        """While this lasts, every `Tools` of this process and its children asks us."""
        real = Tools.start
        started: List[Any] = []

        def start(tools: Tools, argv: List[str], cwd: str = "/", merge: bool = True, feeding: bool = False) -> Any:
            answer = self.answer(argv)
            if answer is not None:
                argv = ["/bin/sh", "-c", 'printf "%s" "$1"; exit "$2"', "sh", answer[1], str(answer[0])]
            started.append(real(tools, argv, cwd, merge, feeding))
            return started[-1]

        setattr(Tools, "start", start)  # noqa: B010 - put back below
        try:
            yield
        finally:
            setattr(Tools, "start", real)  # noqa: B010
            for process in started:  # a check that says no does not wait for what it asked
                process.stdout.close()
                process.wait()

    def answer(self, argv: List[str]) -> Optional[Tuple[int, str]]:
        """Exit code and output; None for a program that is none of the three."""
        if argv[:2] == [SYSTEMCTL, "show"]:
            blocks = ("\n".join("%s=%s" % pair for pair in self.unit(name).items()) for name in argv[4:])
            return self._no("show") or (0, "\n\n".join(blocks))
        if argv[0] == "/usr/bin/journalctl":
            wanted = self.path(".errors" if "json" in argv else ".lines")
            return self._no("journal") or (0, read_bytes(wanted).decode() if os.path.exists(wanted) else "")
        if tuple(argv[: len(SUDO)]) != SUDO:
            return None
        command = argv[len(SUDO) :]
        if command[0] == "-l":
            granted = [" ".join(line) for name in self._units() for line in sudo_commands(name)]
            return self._no("sudo") or (
                0,
                "\n".join("    (root) NOPASSWD: %s" % line for line in granted),
            )
        return self._no("sudo") or self._carry_out(command)

    def _no(self, program: str) -> Optional[Tuple[int, str]]:
        path = self.path(".no-" + program)
        return (1, read_bytes(path).decode()) if os.path.exists(path) else None

    def _units(self) -> List[str]:
        return [name for name in names_in(self._directory) if not name.startswith(".")]

    def _carry_out(self, command: List[str]) -> Tuple[int, str]:
        asked = [*self.asked, " ".join(command[1:])]
        write_atomic(self.path(".asked"), json.dumps(asked).encode(), sync=False)
        name = command[-1]
        failed = self.unit(name)["ActiveState"] == "failed"
        looping = self.unit(name)["SubState"] == "auto-restart"
        if "reset-failed" in command:  # which counts anew, and a loop goes on meanwhile
            self.unit(name, NRestarts="1" if looping else "0")
        if ("stop" in command and not failed) or ("reset-failed" in command and failed):
            self.unit(name, ActiveState="inactive", SubState="dead", MainPID="0")
        if "restart" in command:
            way, _, later = self.unit(name).get("Starts", "").partition(" ")
            self.unit(name, Starts=later)
            number = len(asked)
            fresh = {"InvocationID": "start-%d" % number, "MainPID": str(NOBODY + number)}
            fresh["NRestarts"] = self.unit(name)["NRestarts"] if looping else "0"  # as systemd does
            if way == "failed":
                self.unit(name, **fresh, ActiveState="failed", SubState="failed", Result="exit-code")
            elif way == "looping":
                self.unit(name, **fresh, ActiveState="activating", SubState="auto-restart", Result="exit-code")
            elif way != "stuck":
                self.unit(name, **fresh, ActiveState="active", SubState="running", Result="success")
        return 0, ""
