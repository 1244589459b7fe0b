"""Deployments: the list, and what can be done about each."""

from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.base import PortalAdmin
from deployments.admin.decisions import Approve, Cancel, Reject, Review, RollBack
from deployments.admin.lists import SEARCHED
from deployments.admin.request_deployment import asking_for, places_to_deploy_to
from deployments.core.actors import in_words
from deployments.core.texts import whole_number
from deployments.lifecycle import FINAL, Kind, Status
from deployments.models import Deployment
from deployments.models.deployments import DeploymentQuerySet


def _one_review(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Approving and rejecting are answers on one page: one button leads there, before anything else."""
    answers = [each for each in actions if each["slug"] in (Approve.slug, Reject.slug)]
    review = {"label": "Review and decide", "icon": "visibility", "tone": "good", "decides": True}
    first = [answers[0] | review] if answers else []
    return first + [each for each in actions if each not in answers]


@admin.register(Deployment)
class DeploymentAdmin(PortalAdmin[Deployment]):
    """The list, and what can be done; a deployment's page is `dashboard/views/deployments.py`."""

    confirmations = (Approve(), Reject(), Review(), Cancel(), RollBack())
    list_display = ("shown", "environment", "what", "shown_status", "asker", "asked", "took", "marks")
    list_filter = ("status", "environment", "kind", "break_glass")
    search_fields = ("=id", "release__identifier", "requested_by", "reason", "sentence")
    searched_newest = True
    search_help_text = f"Among the newest {SEARCHED:,} deployments."
    list_select_related = ("environment", "release")
    list_before_template = "deployments/admin/deployment_tools.html"
    fields = ()

    def audit_subject(self, obj: Deployment) -> str:
        """`deployment:12`."""
        return f"deployment:{obj.pk}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deployment]:
        """Without the snapshots, which a list does not show."""
        rows = super().get_queryset(request).select_related("environment", "release")
        return cast("DeploymentQuerySet", rows.defer("snapshot", "release__change_log")).with_taken_back()

    def actions_for(self, request: HttpRequest, obj: Deployment) -> list[dict[str, Any]]:
        """And asking for the same release once more, on the page of a request: with what is true now, and its plan."""
        actions = _one_review(super().actions_for(request, obj))
        succeeded = obj.status == Status.SUCCEEDED
        if not succeeded and not (obj.status in FINAL and obj.kind == Kind.DEPLOYMENT):
            return actions
        actor, failed = actor_of(request), obj.status in (Status.FAILED, Status.ROLLED_BACK)
        again = asking_for(obj.release, obj.environment, actor, "Redeploy" if succeeded else "Retry")
        other = asking_for(None, obj.environment, actor, "Deploy another release") if failed else None
        return actions + [each for each in (other, again and again | {"tone": "plain", "icon": "replay"}) if each]

    @admin.display(description="Deployment", ordering="id")
    def shown(self, obj: Deployment) -> str:
        """`#12`."""
        return f"#{obj.pk}"

    @admin.display(description="Release", ordering="release")
    def what(self, obj: Deployment) -> str:
        """Release, and that it goes back."""
        return f"{'↩ ' if obj.kind == 'rollback' else ''}{obj.release}"

    @admin.display(description="Status", ordering="status")
    def shown_status(self, obj: Deployment) -> str:
        """In colour."""
        return labels.status(obj.grade, obj.get_status_display())

    @admin.display(description="Requested by", ordering="requested_by")
    def asker(self, obj: Deployment) -> str:
        """Who asked, in words."""
        return in_words(obj.requested_by)

    @admin.display(description="Requested", ordering="requested_at")
    def asked(self, obj: Deployment) -> str:
        """How long ago."""
        return labels.moment(obj.requested_at)

    @admin.display(description="Took")
    def took(self, obj: Deployment) -> str:
        """Claim → end."""
        return labels.seconds(obj.seconds)

    @admin.display(description="Marks")
    def marks(self, obj: Deployment) -> str:
        """Break-glass without review."""
        if obj.break_glass:
            return labels.status("interrupted" if obj.reviewed_at is None else "expired", "Break-glass")
        return labels.NONE

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With a way to ask for a new one, as soon as there is something to deploy."""
        links = places_to_deploy_to(actor_of(request))
        return super().changelist_view(request, {"deploy_to": links, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Its one page, with log, differences, approvals and actions, is the one that members follow."""
        if whole_number(object_id) is None:
            raise Http404(f"There is no deployment {object_id}.")
        return HttpResponseRedirect(reverse("deployment", args=[object_id]))
