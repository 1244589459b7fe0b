"""App configuration of the project itself."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class PortalConfig(AppConfig):
    """The one API mount, the admin site and the housekeeping of the portal."""

    name = "portal"
    default = True


class PortalAdminConfig(admin_apps.AdminConfig):
    """Django's admin on the portal's own site."""

    default = False
    default_site = "portal.site.PortalAdminSite"
