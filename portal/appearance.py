"""How the admin looks (django-unfold's settings)."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static


def _static(path: str) -> Any:
    def address(_request: HttpRequest | None = None) -> str:
        return static(path)

    return address


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "CyTube Ops",
    "SITE_HEADER": "CyTube Ops",
    "SITE_SUBHEADER": "Control room",
    "SITE_ICON": _static("dashboard/icon.svg"),
    "SITE_URL": "/",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": _static("dashboard/icon.svg")},
    ],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": False,
    "STYLES": [
        _static("dashboard/tokens.css"),
        _static("dashboard/shell.css"),
        _static("deployments/admin/theme.css"),
        _static("deployments/admin/admin.css"),
    ],
    "SCRIPTS": [
        _static(f"{name}.js")
        for name in ("dashboard/theme", "dashboard/shell", "dashboard/palette", "deployments/admin/admin")
    ],
}
