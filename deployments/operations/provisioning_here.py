"""Provisioning in this process, as the command does it: on the record while it lasts, so that no deployment begins
beside it, and with every line of what it changed."""

from collections.abc import Callable
from functools import partial

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core.actors import Actor, system_actor
from deployments.core.masking import Mask
from deployments.core.processes import at_work, has_ended
from deployments.core.texts import one_line
from deployments.environments.guards import refuse_busy
from deployments.environments.machines import refuse_work_beside
from deployments.models import Operation, Release, Server
from deployments.operations.carrying_out import Ending, begin, end, keep_output, settle
from deployments.operations.hearing import Heard
from deployments.operations.provisioning import lines_of, request_for, told
from deployments.operations.requesting import ask
from deployments.servers.enrolment import refuse_decommissioned
from deployments.servers.provisioning import provision_server
from engine.errors import PortalError
from engine.remote.bootstrap import Bootstrap
from engine.remote.reports import Report


def provision_here(
    *,
    actor: Actor,
    server: Server,
    release: Release,
    bootstrap: Bootstrap,
    strict_firewall: bool | None = None,
    on_report: Callable[[Report], None] = lambda _: None,
) -> tuple[Operation, list[Report]]:
    """What `provision_server` does, and raises; EnvironmentBusy and Conflict too, while something else is under way."""
    row = _begun(actor, server, release, bootstrap.user)
    heard = Heard(Mask.for_environment(server.environment_id), lambda _: None, partial(keep_output, row.pk))
    ending = Ending(Operation.State.LOST, "broken_off", "It was broken off: provision again.")

    def tell(report: Report) -> None:
        refuse_ended()
        for line in lines_of(report):
            heard(line)
        on_report(report)

    try:
        with at_work(row) as refuse_ended:
            reports = provision_server(
                actor=actor,
                server=server,
                release=release,
                bootstrap=bootstrap,
                strict_firewall=strict_firewall,
                on_report=tell,
            )
        ending = Ending(Operation.State.SUCCEEDED, "provisioned", *told(server, reports))
    except PortalError as error:
        ending = Ending(Operation.State.FAILED, error.reason, str(error))
        raise
    finally:
        ending.sentence = Mask.for_environment(server.environment_id)(one_line(ending.sentence))
        ending.output = heard.kept
        end(row, ending)
    return row, reports


def _begun(actor: Actor, server: Server, release: Release, account: str) -> Operation:
    require(actor, Verb.PROVISION, server.environment)
    refuse_decommissioned(server)
    for left in server.operations.filter(kind=Operation.Kind.PROVISION, state=Operation.State.RUNNING):
        if has_ended(left.worker):  # a terminal was closed: whoever begins again need not wait
            settle(left, actor=system_actor("operations"))
    request = request_for(server, release, account)
    row = ask(actor=actor, server=server, kind=Operation.Kind.PROVISION, request=request, queued=False)
    begin(row.pk)
    try:
        refuse_work_beside(server)
        refuse_busy(server.environment)  # what was asked for since `ask` may have begun before `begin`
    except PortalError as error:
        end(row, Ending(Operation.State.FAILED, error.reason, str(error)))
        raise
    return row
