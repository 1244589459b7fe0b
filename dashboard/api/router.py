"""Every operation of the status side, mounted by the portal."""

from ninja import Router

from alerting.api import alerts, incidents, maintenance, silences
from dashboard.api import bots, heartbeats, status

router = Router()
for part in (status, bots, heartbeats, alerts, silences, incidents, maintenance):
    router.add_router("", part.router)
