"""Environments: their configuration and their other settings."""

from collections.abc import Mapping
from copy import copy
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.core.masking import Mask
from deployments.core.row_locks import locked_environment
from deployments.models import Environment, Release
from deployments.releases import artifacts
from deployments.releases.artifacts import open_release
from engine.artifacts.errors import BadConfiguration
from engine.errors import InvalidRequest, NotFound, PortalError

EDITABLE = ("configuration", "batch", "bake_seconds", "bake_action", "order")


def configure_environment(*, actor: Actor, environment: Environment, changes: Mapping[str, Any]) -> Environment:
    """Write the fields of `changes` (of EDITABLE); what differs is in the audit trail, field by field.

    A change of configuration reaches servers with the next deployment only, which shows it to whoever approves.
    Raises NotAllowed, InvalidRequest.
    """
    require(actor, Verb.CONFIGURE, environment)
    if unknown := sorted(set(changes) - set(EDITABLE)):
        raise InvalidRequest(f"Not a setting of an environment: {', '.join(unknown)}.")
    with transaction.atomic():
        locked = locked_environment(environment.pk)
        before = {name: getattr(locked, name) for name in changes}
        for name, value in changes.items():
            setattr(locked, name, value)
        differing = trail.changes(before, dict(changes))
        if differing:
            if locked.configuration != before.get("configuration", locked.configuration):
                check_configuration(locked, locked.configuration)
            _check(locked)
            locked.save(update_fields=list(changes))
            trail.record(
                actor=actor,
                name="environment.configured",
                subject=f"environment:{locked}",
                environment=locked,
                data={"changes": differing},
            )
    environment.refresh_from_db()
    return environment


def check_configuration(environment: Environment, configuration: object) -> None:
    """Raise BadConfiguration for values that are no table of files, or that no release at hand could use.

    At hand are the newest and the live one; where there is neither, or this machine cannot read it, any table will do.
    """
    odd = (
        [name for name, table in configuration.items() if not isinstance(table, dict)]
        if (isinstance(configuration, dict))
        else [""]
    )
    if odd:
        raise BadConfiguration(
            "The configuration is a table of files, each with a table of values.",
            hint='For example {"bot.json": {"channel": {"name": "test-rosey"}}}.',
            place=[name for name in odd[:1] if name],
        )
    refused: list[BadConfiguration] = []
    with_it = copy(environment)
    with_it.configuration = configuration
    for release in _at_hand(environment):
        try:
            with open_release(release) as reader:
                artifacts.check_configuration(reader, with_it)
        except BadConfiguration as error:
            refused.append(error)
        except PortalError:  # its artifact is elsewhere, or damaged: a request will say so
            continue
        else:
            return
    if refused:
        raise refused[0]


def _at_hand(environment: Environment) -> list[Release]:
    try:
        newest = selectors.newest_release(environment.application)
    except NotFound:
        return []
    live = selectors.live_release(environment)
    return [newest, *([live] if live and live != newest else [])]


def _check(environment: Environment) -> None:
    try:
        environment.clean_fields()
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), hint="Nothing was changed.") from error
    if name := Mask.for_environment(environment.pk).found_in(environment.configuration):
        raise InvalidRequest(
            f"The configuration holds the value of the secret {name}.",
            hint="Configuration is shown to whoever looks at a deployment; secrets reach servers by themselves.",
            reason="secret_in_configuration",
        )
