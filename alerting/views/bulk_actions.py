"""`/alerts/act`: one click for one alert, a group, what was chosen or everything that needs action. For members."""

from datetime import timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.urls import reverse

from alerting import selectors
from alerting.actions import act
from alerting.views.durations import minutes_of, words_of
from deployments.core.texts import plural, whole_number
from deployments.http.error_messages import show_error
from deployments.http.members import members_only, signed_in
from engine.errors import PortalError

MANY = 200


@members_only
def act_on_many(request: HttpRequest) -> HttpResponseBase:
    """Do one thing about the alerts that are named; what is refused is told one by one, the rest is done."""
    if request.method == "POST":
        what, numbers = _asked(request)
        _act(request, what, numbers)
    back = selectors.Filter.parse(QueryDict(request.POST.get("back", "")[:1000])).address
    return HttpResponseRedirect(reverse("alerts") + (f"?{back}" if back else ""))


def _act(request: HttpRequest, what: str, numbers: list[str]) -> None:
    actor, done = signed_in(request), _done(request.POST).get(what)
    if done is None:
        return
    lasting, to = timedelta(minutes=minutes_of(request.POST)), request.POST.get("to", "")
    chosen = [number for text in numbers[:MANY] if (number := whole_number(text)) is not None]
    if not chosen:
        messages.error(request, "No alert was chosen.")
    count = 0
    for alert in filter(None, map(selectors.numbered, chosen)):
        try:
            act(what, actor=actor, alert=alert, lasting=lasting, to=to)
            count += 1
        except PortalError as refused:
            show_error(request, refused, alert.name)
    if count:
        messages.success(request, f"{plural(count, 'alert')} {done}.")


def _asked(request: HttpRequest) -> tuple[str, list[str]]:
    """The action, and the alerts: those of the button that was pressed, else those that are chosen."""
    for what in ("acknowledge", "snooze"):
        if pressed := request.POST.get(what, ""):
            return what, pressed.split(",")
    return request.POST.get("do", ""), request.POST.getlist("alert")


def _done(sent: QueryDict) -> dict[str, str]:
    """What may be done about many at once, with its words when it is done."""
    length, to = words_of(sent), sent.get("to", "")
    return {
        "acknowledge": f"acknowledged for {length}",
        "snooze": f"snoozed for {length}",
        "assign": f"assigned to {to or 'nobody'}",
    }
