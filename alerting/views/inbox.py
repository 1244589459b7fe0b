"""`/alerts/`: what fires, what has fired, and who has it in hand. For members."""

from dataclasses import replace

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from alerting import alert_expiry, assignments, channels, selectors
from alerting.summary import summary
from alerting.views.chips import chips
from alerting.views.durations import DURATIONS
from deployments.access.policy import may_somewhere
from deployments.access.verbs import Verb
from deployments.http.members import members_only, signed_in
from deployments.http.pages import present
from deployments.models import Environment


@require_safe
@members_only
def inbox_page(request: HttpRequest) -> HttpResponseBase:
    """What fires now, in Alertmanager's groups, and what has ended; as the address chooses."""
    wanted = selectors.Filter.parse(request.GET)
    now, actor = timezone.now(), signed_in(request)
    found = summary(now)
    chosen = [one for one in found.firing if wanted.takes(one, actor.person)]
    may_acknowledge = may_somewhere(actor, Verb.ACKNOWLEDGE)
    ended = replace(wanted, status=selectors.RESOLVED)
    context = {
        "nav": "alerts",
        "now": now,
        "filter": wanted,
        "summary": found,
        "may_acknowledge": may_acknowledge,
        "chips": chips(wanted, found.firing, actor.person),
        "groups": selectors.groups(chosen),
        "hidden": len(found.firing) - len(chosen),
        "unended": alert_expiry.unended(now).count(),
        "left_out": selectors.left_out(found.firing),
        "channels": channels.channels(),
        "page": selectors.page(ended, now, actor.person) if wanted.status in ("", selectors.RESOLVED) else None,
        "environments": [str(row) for row in Environment.objects.all()],
        "severities": selectors.SEVERITIES,
        "statuses": selectors.STATUSES.items(),
        "durations": DURATIONS,
        "people": assignments.assignable() if may_acknowledge else [],
        "me": actor.person,
    }
    return present(request, "dashboard/alerts.html", "dashboard/alerts_live.html", context)
