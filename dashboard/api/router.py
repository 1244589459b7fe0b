"""Every operation of the status side, mounted by the portal."""

from ninja import Router

from alerting.api import alerts, incidents, silences
from dashboard.api import bots, heartbeats, status

router = Router()
for part in (status, bots, heartbeats, alerts, silences, incidents):
    router.add_router("", part.router)
