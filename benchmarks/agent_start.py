"""What starting the agent costs a server, beside an interpreter that imports the same of the standard library.

    python -m benchmarks agent_start [ANOTHER-AGENT.py …]

In turns, as the portal starts it: with its compiled form beside it, as on every start but the first, and without. Time
is processor time, which other work on the machine hardly changes. Promised: with its compiled form at most 1.4 × the
bare interpreter. Other agents, such as one out of history, are measured in the same run.
"""

import argparse
import ast
import json
import resource
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.results import METHOD
from engine.commands.agent import PYTHON, agent_command, source

ROUNDS = 60
WANTED = 1.4
REQUEST = zlib.compress(json.dumps({"protocol": 1, "deployment": "none", "after": 0}).encode())
FRAME = struct.pack(">cQ", b"P", len(REQUEST)) + REQUEST


def imports(program: bytes) -> str:
    """The top-level imports of a program, as one."""
    nodes = [node for node in ast.parse(program).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(ast.unparse(node) for node in nodes)


class Contestant:
    """One way to start: a command, and how long each start took."""

    def __init__(self, name: str, command: list[str], compiled: Path | None = None, *, keep: bool = True) -> None:
        self.name = name
        self.command = command
        self.compiled, self.keep = compiled, keep
        self.times: list[float] = []

    def start(self) -> None:
        """Start it once, and wait for its end."""
        if self.compiled and not self.keep:
            self.compiled.unlink(missing_ok=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(self.command, input=FRAME, stdout=subprocess.PIPE, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def contestants(top: Path, programs: dict[str, bytes]) -> list[Contestant]:
    """The bare interpreter, then each program with and without its compiled form."""
    found = [Contestant("interpreter with the same imports", [*PYTHON, "-c", imports(source("agent"))])]
    loader = agent_command("bench", "journal").argv
    for number, (name, program) in enumerate(programs.items()):
        for kept in (True, False):
            deploy = top / f"{number}-{kept}" / ".deploy"
            for folder in ("manifests", "__pycache__"):
                (deploy / folder).mkdir(parents=True)
            (deploy / "agent_file.py").write_bytes(program)
            command = [*loader[:-3], str(deploy), "agent_file", "journal"]
            cache = deploy / "__pycache__" / f"agent_file.{sys.implementation.cache_tag}.pyc"
            found.append(Contestant(f"{name}{'' if kept else ', not compiled yet'}", command, cache, keep=kept))
    return found


def main(argv: Sequence[str]) -> int:
    """Start each in turns; 1 when our agent costs more than promised."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks agent_start", description=__doc__)
    parser.add_argument("agents", nargs="*", type=Path, metavar="ANOTHER-AGENT.py")
    agents: list[Path] = parser.parse_args(argv).agents
    programs = {"agent": source("agent"), **{str(path): path.read_bytes() for path in agents}}
    with tempfile.TemporaryDirectory() as folder:
        found = contestants(Path(folder), programs)
        for _ in range(ROUNDS + 1):
            for contestant in found:
                contestant.start()
    print(f"{METHOD}{ROUNDS} starts of each in turns, after one that is not counted; medians (least to most)")
    base = median(found[0].times[1:])
    for contestant in found:
        middle = median(contestant.times[1:])
        spread = f"({min(contestant.times[1:]) * 1000:.1f} to {max(contestant.times[1:]) * 1000:.1f})"
        print(f"{contestant.name:45} {middle * 1000:6.1f} ms {spread:16} {middle / base:5.2f} ×")
    kept = median(found[1].times[1:]) <= WANTED * base
    print(f"{'kept' if kept else 'NOT KEPT'}: at most {WANTED} × the interpreter")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
