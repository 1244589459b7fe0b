"""Remote commands: one argument stays one argument, whatever is in it."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.commands.agent import agent_command, agent_digest, install_command, provision_command
from engine.commands.remote_command import RemoteCommand
from engine.remote.sudo import as_root
from engine.ssh.address import Address
from engine.ssh.keys import HostKey, generate_key
from engine.ssh.session import Session

words = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=40)


@given(st.lists(words, min_size=1))
def test_the_line_for_the_shell_holds_exactly_the_arguments(argv: list[str]) -> None:
    assert shlex.split(RemoteCommand(tuple(argv)).line) == argv


@pytest.mark.parametrize("argv", [(), ("program", "a\0b")])
def test_what_no_shell_could_pass_on_is_refused(argv: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="NUL"):
        RemoteCommand(argv)


def test_the_agent_is_called_by_its_digest_and_gets_its_request_elsewhere() -> None:
    command = agent_command("rosey-bot", "run")
    assert command.argv[:5] == ("/usr/bin/python3", "-I", "-S", "-B", "-c")
    assert command.argv[6:] == ("/opt/rosey-bot/.deploy", f"agent-{agent_digest()}", "run")
    assert install_command("rosey-bot").argv[-2:] == ("/opt/rosey-bot/.deploy", agent_digest())


def test_provisioning_becomes_root_only_where_it_is_not() -> None:
    session = Session(Address("host", 22, "admin", HostKey.parse(generate_key()[1])))
    assert as_root(session, provision_command(), sudo=False) == (provision_command(), ())
    assert as_root(session, provision_command(), sudo=True)[0].argv[:3] == ("/usr/bin/sudo", "-n", "/usr/bin/python3")
    session.sudo_password = "p w"
    command, first = as_root(session, provision_command(), sudo=True)
    assert first == (b"p w\n",)
    assert "p w" not in command.line
