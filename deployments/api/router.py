"""Every operation of the control plane, mounted by the portal."""

from ninja import Router

from deployments.api import audit, deployments, environments, operations, pushes, releases, servers, tokens

router = Router()
for part in (deployments, operations, releases, environments, servers, audit, tokens, pushes):
    router.add_router("", part.router)
