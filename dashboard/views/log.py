"""The log of a deployment: followed by id, or whole as plain text."""

from collections.abc import Iterator

from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from dashboard.selectors.log import PIECE, lines_after
from deployments.core.texts import whole_number
from deployments.http.members import members_only
from deployments.models import Deployment


@require_safe
@members_only
def log_after(request: HttpRequest, number: int) -> HttpResponseBase:
    """Lines after `?after=<id>`. `ended` is read before the lines, so that nothing written last is missed."""
    deployment = get_object_or_404(Deployment.objects.only("pk", "status"), pk=number)
    lines = lines_after(deployment, whole_number(request.GET.get("after", "")) or 0)
    return JsonResponse(
        {
            "lines": [[line.pk, line.time, line.server, line.step, line.stream, line.text] for line in lines],
            "more": len(lines) == PIECE,
            "ended": deployment.ended,
        }
    )


@require_safe
@members_only
def log_text(request: HttpRequest, number: int) -> HttpResponseBase:
    """The whole log as plain text, streamed."""
    deployment = get_object_or_404(Deployment.objects.only("pk", "status"), pk=number)
    return StreamingHttpResponse(_pieces(deployment), content_type="text/plain; charset=utf-8")


def _pieces(deployment: Deployment) -> Iterator[str]:
    after = 0
    while lines := lines_after(deployment, after):
        yield "".join(f"{line}\n" for line in lines)
        after = lines[-1].pk
