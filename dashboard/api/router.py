"""Every operation of the status side, mounted by the portal."""

from ninja import Router

from alerting.api import alerts, silences
from dashboard.api import bots, heartbeats, status

router = Router()
for part in (status, bots, heartbeats, alerts, silences):
    router.add_router("", part.router)
