"""One command as an application's account, where nobody else has to consent to what a server does."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.core.masking import Mask, storable
from deployments.core.texts import checked
from deployments.environments.guards import frozen, refuse_locked
from deployments.models import Environment, Operation, Server
from deployments.operations.requesting import ask, check_units, units_of
from engine.errors import InvalidRequest, NotAllowed
from engine.host.provision.unit_rules import ROLE_ACCOUNTS

SECONDS, MOST_SECONDS = 300.0, 3600.0
"""How long a command may take, unless said otherwise; and the most that can be said."""
WORKER_SECONDS = 600.0
"""The most where a worker carries it out: it has to be done before the queue takes the worker for dead."""
LONGEST_COMMAND = 8000  # characters of all words


@dataclass(frozen=True)
class OneOffCommand:
    """Which command, with what this service is given (without: the first one), and for how many seconds at most."""

    command: Sequence[str]
    unit: str = ""
    seconds: float = SECONDS


def run_command(
    *,
    actor: Actor,
    server: Server,
    wanted: OneOffCommand,
    reason: str = "",
    queued: bool = True,
) -> Operation:
    """Ask for a command in the release that is live, as one of its services would run it.

    Raises NotAllowed, also where an environment is locked or asks for approvals, and for a unit of a role with an
    account of its own; InvalidRequest for a command that is none, or holds a secret; what `ask` raises.
    """
    environment = server.environment
    require(actor, Verb.RUN, environment)
    refuse_untimely(environment)
    request = {
        "command": _words(wanted.command, environment),
        "unit": service_for(server, wanted.unit),
        "seconds": _seconds(wanted.seconds, queued=queued),
    }
    reason = checked(reason)
    return ask(actor=actor, server=server, kind=Operation.Kind.RUN, request=request, reason=reason, queued=queued)


def refuse_protected(environment: Environment) -> None:
    """Raise NotAllowed where what runs needs somebody's approval: a command would be a way round it."""
    if environment.protected:
        raise NotAllowed(
            f"{environment} needs approvals: a command there would change what runs with nobody's consent.",
            hint="Put it into a release as one of its [hooks], which are approved with it (docs/deploy-toml.md).",
            reason="needs_approval",
        )


def refuse_untimely(environment: Environment) -> None:
    """Raise NotAllowed where no command runs now, whoever asks for it: it is asked for, and begun, only elsewhere."""
    refuse_protected(environment)
    refuse_locked(environment)


def services_on(server: Server) -> list[str]:
    """The services there that a command may be given the surroundings of: of roles with no account of their own."""
    return _services(server, of_application=True)


def takes_commands(server: Server) -> bool:
    """Whether anybody may run a command there now, as far as its roles and its environment say."""
    environment = server.environment
    return not (environment.protected or frozen(environment)) and not set(server.roles) <= ROLE_ACCOUNTS.keys()


def service_for(server: Server, unit: str = "") -> str:
    """The service that a command is given the surroundings of; without `unit`, the first one.

    Raises NotFound for a unit of nobody's, NotAllowed for one that holds what is not the application's: the portal's
    own keys decide about every other environment. InvalidRequest where there is no service.
    """
    if unit:
        check_units(server, [unit])
    services, kept = services_on(server), _services(server, of_application=False)
    if unit in kept or (not unit and kept and not services):
        roles = " and ".join(sorted(ROLE_ACCOUNTS))
        raise NotAllowed(
            f"No command is given what {unit or kept[0]} has: services of the roles {roles} hold keys of their own.",
            hint=f"Choose from: {', '.join(services)}." if services else "Put it into a release as one of its [hooks].",
            reason="not_for_commands",
        )
    found = [name for name in services if not unit or name == unit]
    if not found:
        raise InvalidRequest(
            f"{unit or server.current_release} is no service, whose account and secrets a command could be given.",
            hint="Name a service with --unit.",
            reason="no_service",
        )
    return found[0]


def _services(server: Server, *, of_application: bool) -> list[str]:
    roles = [role for role in server.roles if (role not in ROLE_ACCOUNTS) == of_application]
    return [name for name in units_of(server, roles) if name.endswith(".service")]


def _words(command: Sequence[str], environment: Environment) -> list[str]:
    words = [str(word) for word in command]
    if not words or not words[0].strip():
        raise InvalidRequest("There is no command to run.", hint="Write it behind --.", reason="no_command")
    if sum(map(len, words)) > LONGEST_COMMAND or any("\0" in word for word in words):
        raise InvalidRequest(f"A command has at most {LONGEST_COMMAND} characters, and none of them is NUL.")
    if any(storable(word) != word for word in words):
        raise InvalidRequest("A command is text in UTF-8, and a word of this one is none.", hint="Write it in UTF-8.")
    mask = Mask.for_environment(environment.pk)
    if any(mask(text) != text for text in (*words, " ".join(words))):  # the shell may have split one at its blanks
        raise InvalidRequest(
            "The command holds the value of a secret, which everybody on the server could read while it runs.",
            hint="Have it read the file of that name in $CREDENTIALS_DIRECTORY.",
            reason="secret_in_command",
        )
    return words


def _seconds(seconds: float, *, queued: bool) -> float:
    most = WORKER_SECONDS if queued else MOST_SECONDS
    if not math.isfinite(seconds) or not 1 <= seconds <= most:
        raise InvalidRequest(f"A command may take between 1 and {most:g} s here, not {seconds:g}.")
    return float(seconds)
