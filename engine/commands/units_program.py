"""Root's program that takes units over, as provisioning puts it on a server and decommissioning takes it off."""

from engine.commands.agent import program, source
from engine.commands.operation import Operation, compiled, file
from engine.host.agent.units import take_command


def units_program_path(name: str) -> str:
    """What the program that sudo names imports: itself, in a form that need not be compiled at each start."""
    return f"{take_command(name)[-2]}-program.py"


def put(name: str) -> list[Operation]:
    """The program, its compiled form, and what sudo starts; in this order there is a whole one at every moment."""
    path = units_program_path(name)
    return [
        file(path, source("provision", "units_program"), title="the program of what takes units over"),
        compiled(path),
        file(take_command(name)[-2], program("imported").encode(), title="what takes units over", mode=0o755),
    ]
