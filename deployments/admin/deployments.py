"""Deployments: how they stand, what they did, and what can be done about them."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse

from deployments.access.policy import may
from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.again import Redeploy, Retry
from deployments.admin.base import PortalAdmin
from deployments.admin.decisions import Approve, Cancel, Reject, Review, RollBack
from deployments.models import Deployment, Environment, LogLine
from deployments.requests.reviews import review_of

TAIL = 200
"""Lines of the log on the page; all of them are on the deployment's own page."""
NOTHING_NEW, STOP_POLLING = 204, 286  # htmx: 204 leaves the page as it is, 286 replaces it and ends the polling


@admin.register(Deployment)
class DeploymentAdmin(PortalAdmin[Deployment]):
    """The list, and the page with its progress."""

    confirmations = (Approve(), Reject(), Review(), Cancel(), RollBack(), Redeploy(), Retry())
    change_form_template = "deployments/admin/deployment.html"
    list_display = ("shown", "environment", "what", "shown_status", "requested_by", "asked", "took", "marks")
    list_filter = ("status", "environment", "kind", "break_glass")
    search_fields = ("=id", "release__identifier", "requested_by", "reason", "sentence")
    list_select_related = ("environment", "release")
    list_before_template = "deployments/admin/deployment_tools.html"
    fields = ()

    def audit_subject(self, obj: Deployment) -> str:
        """`deployment:12`."""
        return f"deployment:{obj.pk}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deployment]:
        """Without the snapshots, which a list does not show."""
        return super().get_queryset(request).select_related("environment", "release")

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
        return labels.status(obj.status, obj.get_status_display())

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
        return "–"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """With a way to ask for a new one."""
        actor = actor_of(request)
        links = [
            {"name": row.name, "url": reverse("admin:deployments_environment_request", args=[row.pk])}
            for row in Environment.objects.all()
            if may(actor, "request", row)
        ]
        return super().changelist_view(request, {"deploy_to": links, **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        """With the fragment that the page fetches again."""
        view = self.admin_site.admin_view(self.progress_view)
        return [path("<int:number>/progress/", view, name="deployments_deployment_progress"), *super().get_urls()]

    def progress_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Status, steps and the end of the log, for the page to put in place of what it shows."""
        deployment = self.get_object(request, str(number))
        if deployment is None or not self.has_view_permission(request, deployment):
            raise Http404
        facts = progress(deployment)
        if request.GET.get("seen") == facts["seen"] and not deployment.ended:
            return HttpResponse(status=NOTHING_NEW)
        status = STOP_POLLING if deployment.ended else 200
        return render(
            request,
            "deployments/admin/progress.html",
            {"deployment": deployment, "portal_actions": self.actions_for(request, deployment), **facts},
            status=status,
        )

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page: what is to be decided, how it goes, what changes."""
        deployment = context.get("original")
        if deployment is not None:
            context |= {
                "deployment": deployment,
                "review": review_of(actor=actor_of(request), deployment=deployment),
                "live": f"/deployments/{deployment.pk}/",
                **progress(deployment),
            }
        return super().render_change_form(request, context, *args, **kwargs)


def progress(deployment: Deployment) -> dict[str, Any]:
    """What changes while it runs. `seen` names this state of it."""
    lines = list(LogLine.objects.filter(deployment=deployment).select_related("target__server").order_by("-id")[:TAIL])
    targets = list(
        deployment.targets.select_related("server", "base_release").prefetch_related("steps").order_by("order")
    )
    steps = [(step.pk, step.state) for target in targets for step in target.steps.all()]
    seen = f"{deployment.status}-{lines[0].pk if lines else 0}-{len(steps)}-{steps[-1] if steps else ''}"
    return {"targets": targets, "lines": lines[::-1], "seen": seen, "cut": len(lines) == TAIL}
