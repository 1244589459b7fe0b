"""How the admin looks (django-unfold's settings)."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _static(path: str) -> Any:
    def address(_request: HttpRequest | None = None) -> str:
        return static(path)

    return address


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "CyTube Ops",
    "SITE_HEADER": "CyTube Ops",
    "SITE_SUBHEADER": "Control room",
    "SITE_SYMBOL": "settings_input_antenna",
    "SITE_URL": "/",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": _static("dashboard/icon.svg")},
    ],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": False,
    "STYLES": [
        _static("deployments/admin/theme.css"),
        _static("deployments/admin/admin.css"),
    ],
    "SCRIPTS": [_static("deployments/admin/admin.js")],
    "ACCOUNT": {
        "navigation": [
            {"title": "Your account", "link": reverse_lazy("admin:account")},
            {"title": "Change password", "link": reverse_lazy("admin:password_change")},
        ]
    },
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": "portal.sidebar.sidebar"},
}
