"""Root's program is compiled once, by provisioning: its starts are not, and nothing old or foreign is run for it."""

import pytest

from engine.commands.decommissioning import Removal
from engine.commands.decommissioning import operations as removing
from engine.commands.provisioning import operations
from engine.commands.units_program import units_program_path
from engine.host.agent.units import take_command
from engine.remote import provision
from tests.engine.remote.releases import NAME, UNIT
from tests.engine.remote.servers import Server

pytestmark = pytest.mark.hosts

PROGRAM = units_program_path(NAME)
COMPILES = "code object from {}"
MATCHES = "matches {}"
FORMS = "ls /usr/local/lib/cytube-ops/__pycache__ 2>/dev/null || true"


def start(server: Server) -> str:
    """What Python says of where it takes the program from."""
    argv = [*take_command(NAME)]
    verbose = " ".join([*argv[:-2], "-v", *argv[-2:]])
    return server.shell(f"{verbose} 2>&1 >/dev/null | grep -- -units-program || true")


def test_its_starts_take_the_compiled_form_until_the_program_is_another_one(server: Server) -> None:
    said = start(server)
    assert MATCHES.format(PROGRAM) in said
    assert COMPILES.format(PROGRAM) not in said
    server.shell(f"touch -r {PROGRAM} /tmp/then; echo '# x' >> {PROGRAM}; touch -r /tmp/then {PROGRAM}")
    said = start(server)
    assert COMPILES.format(PROGRAM) in said, "a form of another text is not taken, whatever its time says"
    server.provision()
    assert MATCHES.format(PROGRAM) in start(server)


@pytest.mark.parametrize("harm", ["rm", "truncate --size 100", "truncate --size 0"])
def test_provisioning_makes_a_form_that_is_missing_or_torn(server: Server, harm: str) -> None:
    form = "/usr/local/lib/cytube-ops/__pycache__/" + server.shell(FORMS).split()[0]
    server.shell(f"{harm} {form}")
    with server.bootstrap() as session:
        planned = provision(session, operations(server.setup()), plan=True, sudo=False)
        again = provision(session, operations(server.setup()), sudo=False)
    for reports in (planned, again):
        assert [report.name for report in reports if report.state != "ok"] == [f"compiled form of {PROGRAM}"]
    assert MATCHES.format(PROGRAM) in start(server)


def test_taking_the_application_off_takes_the_form_away(server: Server) -> None:
    assert server.shell(FORMS).split()
    removal = Removal(name=NAME, roles=["bot"], units=[UNIT], public_keys=[server.public], delete_data=True)
    with server.bootstrap() as session:
        provision(session, removing(removal), sudo=False)
    try:
        assert server.shell(FORMS) == ""
    finally:
        server.provision()
