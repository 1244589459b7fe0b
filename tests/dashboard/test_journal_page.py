"""The page of a journal in a real browser: what it shows is tried on real servers elsewhere."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from deployments.models import Server
from deployments.operations.journal import LEVELS, Line

pytestmark = pytest.mark.browser
BACKEND = "django.contrib.auth.backends.ModelBackend"
LINES = [
    Line(datetime(2026, 5, 4, 12, 0, n, tzinfo=UTC), "bot.service", LEVELS[n % len(LEVELS)], f"line {n} {'x' * 300}")
    for n in range(20)
]
COLOURS = "nodes => nodes.map(one => [one.className, getComputedStyle(one.querySelector('code')).color])"


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_every_line_can_be_read_on_every_screen(
    visit: Any,
    transactional_db: None,
    live_server: Any,
    enrol: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
    size: str,
    scheme: str,
) -> None:
    server: Server = enrol()
    monkeypatch.setattr("dashboard.views.journal.read", lambda **_: LINES)
    monkeypatch.setattr("dashboard.views.journal.units_of", lambda _: ["bot.service", "worker.service"])
    user = User.objects.create_user("olga", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    client = Client()
    client.force_login(user, backend=BACKEND)
    visitor = visit(size=size, scheme=scheme)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": str(live_server.url)}
    visitor.context.add_cookies([cookie])
    visitor.page.goto(f"{live_server.url}/servers/{server.name}/journal/?follow=1")
    assert visitor.page.locator(".journal li").count() == len(LINES)
    assert visitor.violations() == []
    assert visitor.sideways() == 0
    colours = dict(visitor.page.locator(".journal li").evaluate_all(COLOURS))
    assert len(colours) == len(LEVELS)
    assert len({colours[f"level-{level}"] for level in ("err", "warning", "info", "debug")}) == 4
    assert colours["level-crit"] == colours["level-err"] == colours["level-emerg"]
    visitor.picture(f"journal-{size}-{scheme}")
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == f"{server.name}.log"
