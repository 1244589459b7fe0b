"""Pictures of the pages, light, dark and on a phone: `make pictures`, or with `ARGS="--only status"` of one.

It starts a portal of its own in a directory that goes when it ends, shows its first steps while there is nobody but an
administrator, fills it (`tests/fixtures/showroom.py`), and writes `docs/images/PAGE-LOOK.webp`. A page is cut where it
is longer than three screens.
"""

import argparse
import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
LOOKS = {"light": ("light", 1280, 900), "dark": ("dark", 1280, 900), "phone": ("light", 390, 800)}
SCREENS = 3
QUALITIES, MOST = (60, 45, 30, 15), 100_000
"""From the best; the first that makes no more bytes than this."""
PAGES = {
    # name: who looks, path
    "start": ("ada", "/start/"),  # the first: nothing is there yet
    "status": ("olga", "/"),
    "status-public": ("", "/"),
    "bot": ("olga", "/bots/prod-1/"),
    "deployments": ("olga", "/deployments/"),
    "deployment": ("olga", "/deployments/5/"),
    "deployment-waiting": ("arno", "/deployments/7/"),
    "alerts": ("olga", "/alerts/"),
    "alert": ("olga", "/alerts/4/"),
    "readiness": ("olga", "/readiness/"),
    "sign-in": ("", "/admin/login/"),
    "overview": ("arno", "/admin/"),
    "decide": ("arno", "/admin/deployments/deployment/7/approve/"),
    "request": ("olga", "/admin/deployments/environment/2/request/"),
    "environment": ("ada", "/admin/deployments/environment/2/change/"),
    "servers": ("olga", "/admin/deployments/server/"),
    "server": ("olga", "/admin/deployments/server/1/change/"),
    "releases": ("olga", "/admin/deployments/release/"),
    "audit": ("olga", "/admin/deployments/auditevent/"),
    "channel": ("ada", "/admin/deployments/notificationchannel/add/"),
    "deployment-live": ("olga", "/deployments/8/"),  # the last: it begins then
}


def main() -> None:
    """Write them all."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.pictures", description=__doc__)
    parser.add_argument("--only", action="append", choices=PAGES, help="only this page; may be given more than once")
    parser.add_argument("--look", action="append", choices=LOOKS)
    parser.add_argument("--into", type=Path, default=IMAGES)
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    with portal() as address, sync_playwright() as playwright:
        from deployments.audit.verification import verify
        from deployments.core.actors import system_actor
        from tests.dashboard.browsing import ARGUMENTS
        from tests.fixtures.showroom import fill, under_way

        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        filled = False
        for name in [page for page in PAGES if page in (options.only or PAGES)]:
            if name != "start" and not filled:
                fill()
                verify(actor=system_actor("schedule"))  # as it is every day
                filled = True
            if name == "deployment-live":
                under_way()
            for look in options.look or LOOKS:
                _picture(browser, address, name, look, options.into / f"{name}-{look}.webp")
        browser.close()


def _picture(browser: Browser, address: str, name: str, look: str, into: Path) -> None:
    from tests.dashboard.browsing import settled
    from tests.fixtures.showroom import beat

    who, path = PAGES[name]
    beat()
    scheme, width, height = LOOKS[look]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    if who:
        context.add_cookies([{"name": "sessionid", "value": _session(who), "url": address}])
    page = context.new_page()
    page.goto(address + path)
    settled(page)
    tall = min(page.evaluate("document.documentElement.scrollHeight"), SCREENS * height)
    page.set_viewport_size({"width": width, "height": tall})  # what keeps to the window's foot is at the picture's
    session = context.new_cdp_session(page)  # Chromium writes WebP only when it is asked in its own protocol
    asked = {"format": "webp", "captureBeyondViewport": True}
    clip = {"x": 0, "y": 0, "width": width, "height": tall, "scale": 1}
    for quality in QUALITIES:
        answer = session.send("Page.captureScreenshot", {**asked, "clip": clip, "quality": quality})
        data = base64.b64decode(answer["data"])
        if len(data) <= MOST:
            break
    into.write_bytes(data)
    context.close()


@contextmanager
def portal() -> Iterator[str]:
    """The address of a portal with an administrator and nothing else, served from this process."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright's loop is in this thread, the portal in another
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.management import call_command
    from django.test.testcases import LiveServerThread
    from django.test.utils import override_settings

    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    with override_settings(ALLOWED_HOSTS=["*"]):
        call_command("migrate", verbosity=0)
        from tests.fixtures.showroom_people import make_person

        make_person("ada")
        server: Any = LiveServerThread("127.0.0.1", StaticFilesHandler)
        server.daemon = True
        server.start()
        server.is_ready.wait()
        if server.error:
            raise server.error
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.terminate()


@cache
def _session(who: str) -> str:
    """The cookie of somebody who has signed in."""
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    client.force_login(User.objects.get(username=who), backend="django.contrib.auth.backends.ModelBackend")
    return client.cookies["sessionid"].value


if __name__ == "__main__":
    main()
