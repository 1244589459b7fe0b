"""`/alerts/act`: one click for one alert, a group, what was chosen or everything that needs action. For members."""

from datetime import timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.urls import reverse

from alerting import selectors
from alerting.actions import act
from alerting.views.durations import USUAL_MINUTES, minutes_of, words_of
from deployments.core.texts import plural, whole_number
from deployments.http.error_messages import show_error
from deployments.http.members import members_only, signed_in
from deployments.models import Server
from engine.errors import PortalError

MANY = 200


@members_only
def act_on_many(request: HttpRequest) -> HttpResponseBase:
    """Do one thing about the alerts that are named; what is refused is told one by one, the rest is done."""
    if request.method == "POST":
        what, numbers, minutes = _asked(request)
        _act(request, what, numbers, minutes)
    bot = request.POST.get("bot", "").replace("\x00", "")[:63]
    if bot and Server.objects.filter(name=bot).exists():
        return HttpResponseRedirect(reverse("bot", args=[bot]))
    back = selectors.Filter.parse(QueryDict(request.POST.get("back", "")[:1000])).address
    return HttpResponseRedirect(reverse("alerts") + (f"?{back}" if back else ""))


def _act(request: HttpRequest, what: str, numbers: list[str], minutes: int) -> None:
    actor, to = signed_in(request), request.POST.get("to", "")
    done = _done(words_of({"minutes": str(minutes)}), to).get(what)
    if done is None:
        return
    lasting = timedelta(minutes=minutes)
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


def _asked(request: HttpRequest) -> tuple[str, list[str], int]:
    """The action, the alerts, and for how many minutes.

    Of the button that was pressed, which does what it does for the usual time, else of what is chosen.
    """
    sent = request.POST
    for what in ("acknowledge", "snooze", "withdraw"):
        if pressed := sent.get(what, ""):
            return what, pressed.split(","), USUAL_MINUTES
    return sent.get("do", ""), sent.getlist("alert"), minutes_of(sent)


def _done(length: str, to: str) -> dict[str, str]:
    """What may be done about many at once, with its words when it is done."""
    return {
        "acknowledge": f"acknowledged for {length}",
        "snooze": f"snoozed for {length}",
        "withdraw": "unacknowledged again",
        "assign": f"assigned to {to or 'nobody'}",
    }
