"""Whether a release may and can run: by the rules of today, and by what is known of the servers that it is for."""

from collections.abc import Sequence

from deployments.models import Release, Server
from deployments.releases.role_plans import manifest_for
from engine.artifacts.artifact import ArtifactReader
from engine.artifacts.errors import ArtifactCorrupt, PlanError
from engine.artifacts.manifest import WHEELS
from engine.artifacts.received import refuse_what_no_build_makes
from engine.artifacts.wheels import architectures, unfit
from engine.errors import InvalidRequest

OLDEST_PYTHON = (3, 11)  # for which deploy.toml lets a release be built
_SHOWN = 3  # names of wheels in a sentence


_in_order: set[str] = set()
"""Digests of the artifacts that this process has looked at: the rules are those of its code."""


def refuse_by_todays_rules(release: Release, reader: ArtifactReader) -> None:
    """Raise InvalidRequest for a release that was stored under earlier rules and would be refused now.

    Looked at once per artifact and process. Raises ArtifactCorrupt.
    """
    if release.manifest_digest in _in_order:
        return
    try:
        refuse_what_no_build_makes(reader)
    except ArtifactCorrupt:
        raise
    except PlanError as error:
        raise InvalidRequest(
            f"{release} was stored under earlier rules, and today's refuse it: {_first_of(error)}",
            hint="Correct it, raise VERSION and build it again.",
            reason="release_against_rules",
        ) from error
    _in_order.add(release.manifest_digest)


def _first_of(error: PlanError) -> str:
    if not error.problems:
        return error.message
    first, more = error.problems[0], len(error.problems) - 1
    return f"{first.key}: {first.wrong}{f', and {more} more' if more else ''}."


def wheels_of(reader: ArtifactReader, roles: Sequence[str]) -> list[str]:
    """Names of the wheels that a server with these roles installs; one among the project's own files is a file."""
    paths = (file.path for file in manifest_for(reader, roles).files)
    return sorted({path.rpartition("/")[2] for path in paths if path.startswith(f"{WHEELS}/")})


def architectures_of(reader: ArtifactReader, roles: Sequence[str]) -> list[str]:
    """The architectures that these roles can run on; none where every one will do."""
    return architectures(wheels_of(reader, roles))


def refuse_unfit(reader: ArtifactReader, servers: Sequence[Server]) -> None:
    """Raise InvalidRequest for a server on which some package could not be installed.

    What a server is, provisioning has found; of one that says nothing, nothing is claimed.
    """
    for server in servers:
        machine, version = str(server.facts.get("architecture", "")), str(server.facts.get("python", ""))
        python = ".".join(version.split(".")[:2])
        if not machine or "." not in python:
            continue
        wrong = unfit(wheels_of(reader, server.roles), python, machine)
        too_old = _version(python) < _version(reader.deploy.python)
        if wrong or too_old:
            named = ", ".join(wrong[:_SHOWN]) + (f" and {len(wrong) - _SHOWN} more" if wrong[_SHOWN:] else "")
            why = f"the release needs {reader.deploy.python}" if too_old else f"cannot install {named}"
            raise InvalidRequest(
                f"{server.name} was {machine} with Python {python} when it was provisioned, and {why}.",
                hint=_way_out(reader, server, servers, {"python": python, "architecture": machine}),
                reason="release_does_not_fit",
            )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _way_out(reader: ArtifactReader, server: Server, servers: Sequence[Server], found: dict[str, str]) -> str:
    ours = {"python": reader.deploy.python, "architecture": reader.deploy.architecture}
    if _version(found["python"]) < OLDEST_PYTHON:
        return f"Upgrade {server.name} (Debian 12 has Python 3.11), then `manage.py provision {server.name}`."
    wanted = " and ".join(f'{key} = "{value}"' for key, value in found.items() if ours[key] != value)
    hint = f"Build a release with {wanted} in its deploy.toml and a new VERSION. " if wanted else ""
    if {other.facts.get("architecture") for other in servers} - {None, found["architecture"]}:
        hint += (
            f"The servers of {server.environment} are of several architectures, and a release is for one: give "
            f"{server.name} an environment of its own (`manage.py environments add`). "
        )
    return f"{hint}If the machine has changed since, `manage.py provision {server.name}` looks again."
