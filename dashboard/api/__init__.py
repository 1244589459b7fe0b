"""The status side's part of the typed API."""

from ninja import Router

from dashboard.api import heartbeats

router = Router()
router.add_router("", heartbeats.router)
