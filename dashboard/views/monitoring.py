"""What monitoring reads: /healthz, /metrics and the scrape targets."""

import os
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess

from dashboard.metrics import PortalCollector
from dashboard.portal_metrics import PortalStateCollector
from dashboard.selectors.targets import targets
from deployments.audit import trail
from deployments.core import beats, queueing, read_only
from deployments.http.machines import token_required
from deployments.models import Scope

QUEUE_STUCK_SECONDS = 60.0
LITTLE_ROOM = 1 << 20
"""Bytes; with fewer a change may find no room."""


@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """200 while this process can serve, 503 without a database. What else is wrong with the portal is told, at 200."""
    body: dict[str, object] = {
        "status": "ok",
        "version": settings.VERSION,
        "database": "ok",
        "queue_oldest_seconds": None,
        "clusters": None,
        "clusters_silent": None,
        "audit_head": None,
        "in_charge": None,
    }
    status = 200
    if (free := _room()) < LITTLE_ROOM:
        body["status"] = "disk full"
    body["disk_free_bytes"] = free
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        body |= _of_the_portal()
        if body["status"] == "ok":
            body["status"] = _wrong_with(body)
    except DatabaseError:
        body |= {"status": "no database", "database": "unreachable"}
        status = 503
    response = JsonResponse(body, status=status)
    response["Cache-Control"] = "no-store"
    if release := _release():
        response["X-Release"] = release
    return response


@require_safe
@token_required(Scope.METRICS)
def metrics(_request: HttpRequest) -> HttpResponseBase:
    """This portal's metrics: of all its web processes, and what the database knows."""
    registry = CollectorRegistry()
    registry.register(PortalCollector())
    registry.register(PortalStateCollector())
    page = generate_latest(registry)
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        processes = CollectorRegistry()
        multiprocess.MultiProcessCollector(processes)  # type: ignore[no-untyped-call]  # theirs has no types
        page += generate_latest(processes)
    else:
        page += generate_latest(REGISTRY)
    return HttpResponse(page, content_type=CONTENT_TYPE_LATEST)


@require_safe
@token_required(Scope.METRICS)
def prometheus_targets(_request: HttpRequest) -> HttpResponseBase:
    """Every bot's metrics port, as Prometheus' http_sd wants it."""
    return JsonResponse(targets(), safe=False)


def _of_the_portal() -> dict[str, object]:
    """What the database knows; machines are counted and not named, since anybody may read it."""
    clusters = beats.clusters(timezone.now())
    return {
        "queue_oldest_seconds": round(queueing.oldest_queued_seconds(), 1),
        "clusters": len(clusters),
        "clusters_silent": sum(cluster.silent for cluster in clusters),
        "audit_head": str(trail.head()),
        "in_charge": read_only.read_only_reason() is None,
    }


def _wrong_with(body: dict[str, Any]) -> str:
    if body["queue_oldest_seconds"] > QUEUE_STUCK_SECONDS:
        return "queue stuck"
    return "workers silent" if body["clusters_silent"] else "ok"


def _room() -> int:
    """Bytes left for the portal's state."""
    return shutil.disk_usage(settings.STATE_DIR).free


def _release() -> str:
    """The release this process was started from, when it was deployed by a portal."""
    here = Path(settings.BASE_DIR).resolve()
    return here.name if here.parent.name == "releases" else ""
