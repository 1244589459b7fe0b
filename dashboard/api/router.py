"""Every operation of the status side, mounted by the portal."""

from ninja import Router

from dashboard.api import alerts, bots, heartbeats, silences

router = Router()
for part in (bots, heartbeats, alerts, silences):
    router.add_router("", part.router)
