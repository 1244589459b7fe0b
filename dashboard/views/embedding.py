"""For other people's pages: how things stand as JSON, and as badges. Only what strangers may see."""

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.html import escape
from django.views.decorators.http import require_safe

from alerting.models import Incident
from dashboard.models import Condition
from dashboard.selectors.bot_status import bot_statuses
from dashboard.selectors.bots import bot_named
from dashboard.selectors.overall_status import public_status
from dashboard.selectors.status import maintenance_ahead, page_settings
from deployments.models import Maintenance

FRESH_SECONDS = 10
WORDS = {"calm": "all well", "wary": "look", "alarmed": "trouble", "empty": "nothing yet"}
_COLOURS = {"calm": "#17754a", "wary": "#8a5a00", "alarmed": "#b3261e", "empty": "#5b6470"}
_MOODS = {Condition.CONNECTED: "calm", Condition.DISCONNECTED: "alarmed", Condition.DOWN: "alarmed"}
_LETTER = 6.6
"""Width of a letter at 11 px in the fonts that browsers have, on the generous side."""


@require_safe
def status_json(_request: HttpRequest) -> HttpResponse:
    """Headline, mood, every bot's condition and open incidents, for any origin."""
    page = page_settings()
    if not page.public:
        raise Http404
    now = timezone.now()
    bots = bot_statuses(now)
    found = public_status(bots, now, alerts=page.show_alerts)
    body: dict[str, Any] = {
        "title": page.title,
        "mood": found.mood,
        "headline": found.headline,
        "at": now.isoformat(timespec="seconds"),
        "bots": [
            {"name": bot.name, "environment": bot.bare, "condition": bot.condition, "word": bot.word} for bot in bots
        ],
        "incidents": [_incident(row) for row in found.incidents],
        "maintenance": [_maintenance(row) for row in maintenance_ahead(now, members=False)],
    }
    return for_anybody(JsonResponse(body))


def _incident(row: Incident) -> dict[str, Any]:
    return {
        "number": row.pk,
        "title": row.title,
        "severity": row.severity,
        "state": row.state,
        "opened_at": row.opened_at.isoformat(timespec="seconds"),
        "updated_at": row.updated_at.isoformat(timespec="seconds"),
        "affected": row.affected,
        "latest": getattr(row, "latest", ""),
        "url": f"{settings.PORTAL_URL}/incidents/{row.pk}/",
    }


def _maintenance(row: Maintenance) -> dict[str, Any]:
    return {
        "title": row.title,
        "environment": str(row.environment),
        "starts_at": row.starts_at.isoformat(timespec="seconds"),
        "ends_at": row.ends_at.isoformat(timespec="seconds"),
    }


@require_safe
def status_badge(_request: HttpRequest) -> HttpResponse:
    """How all of it stands."""
    page = page_settings()
    if not page.public:
        raise Http404
    now = timezone.now()
    mood = public_status(bot_statuses(now), now, alerts=page.show_alerts).mood
    return _badge("bots", WORDS[mood], mood)


@require_safe
def bot_badge(_request: HttpRequest, name: str) -> HttpResponse:
    """One bot's condition."""
    bot = bot_named(name, timezone.now())
    if bot is None or not page_settings().public:
        raise Http404
    mood = _MOODS.get(bot.condition, "wary") if bot.condition else "empty"
    return _badge(bot.name, bot.word.lower(), mood)


def _badge(left: str, right: str, mood: str) -> HttpResponse:
    first, second = (round(len(text) * _LETTER + 12) for text in (left, right))
    drawn = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{first + second}" height="20" role="img">'
        f"<title>{escape(left)}: {escape(right)}</title>"
        f'<clipPath id="c"><rect width="{first + second}" height="20" rx="4"/></clipPath><g clip-path="url(#c)">'
        f'<rect width="{first}" height="20" fill="#444c56"/>'
        f'<rect x="{first}" width="{second}" height="20" fill="{_COLOURS[mood]}"/></g>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{first / 2}" y="14">{escape(left)}</text>'
        f'<text x="{first + second / 2}" y="14">{escape(right)}</text></g></svg>'
    )
    return for_anybody(HttpResponse(drawn, content_type="image/svg+xml"))


def for_anybody(response: HttpResponse) -> HttpResponse:
    """Read from any page, and kept for a moment: many readers must not cost more than one."""
    response["Access-Control-Allow-Origin"] = "*"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    response["Cache-Control"] = f"public, max-age={FRESH_SECONDS}"
    return response
