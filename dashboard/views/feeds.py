"""Incidents as RSS and Atom: an entry for each public update, the newest first."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.syndication.views import Feed
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.feedgenerator import Atom1Feed
from django.utils.html import escape

from alerting.incidents.selectors import public_updates
from alerting.models import IncidentUpdate
from dashboard.selectors.status import page_settings
from dashboard.views.embedding import for_anybody


class Rss(Feed):  # type: ignore[type-arg]  # not subscriptable at run time
    """`/incidents.rss`, while the status page is public. Readers take texts for HTML, so they are escaped once more."""

    description = "Incidents and what is done about them"

    def __call__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The feed. Raises Http404 while strangers see no status page."""
        if not page_settings().public:
            raise Http404
        return for_anybody(super().__call__(request, *args, **kwargs))

    def title(self) -> str:
        """Whose incidents."""
        return f"{page_settings().title}: incidents"

    def link(self) -> str:
        """The page of all of them."""
        return f"{settings.PORTAL_URL}/incidents/"

    def items(self) -> list[IncidentUpdate]:
        """The newest updates."""
        return public_updates()

    def item_title(self, item: IncidentUpdate) -> str:
        """The incident, and how it stood then."""
        return escape(f"{item.incident.title} ({item.get_state_display().lower()})")

    def item_description(self, item: IncidentUpdate) -> str:
        """What was said."""
        return escape(item.text)

    def item_link(self, item: IncidentUpdate) -> str:
        """The update on the incident's page."""
        return f"{settings.PORTAL_URL}/incidents/{item.incident_id}/#update-{item.pk}"

    def item_pubdate(self, item: IncidentUpdate) -> datetime:
        """When it was said."""
        return item.at

    def item_updateddate(self, item: IncidentUpdate) -> datetime:
        """The same: nothing is edited."""
        return item.at


class Atom(Rss):
    """`/incidents.atom`."""

    feed_type = Atom1Feed
    subtitle = Rss.description
