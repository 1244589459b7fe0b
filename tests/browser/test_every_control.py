"""Every page that links lead to, in a browser: no button and no field looks as a browser draws it by itself."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles.finders import find

from dashboard.validation import running
from deployments.access.policy import user_actor
from deployments.models import Environment
from tests.browser.test_control_room import sign_in
from tests.dashboard.browsing import Visitors
from tests.fixtures import showroom
from tests.portal.crawling import Crawl, kind_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LOOK = """() => {
  const host = document.body.appendChild(document.createElement('div'));
  const bare = host.attachShadow({mode: 'open'});  // where no style sheet of the page reaches
  const looks = (one) => ['backgroundColor', 'borderTopStyle', 'borderTopWidth', 'borderTopColor', 'borderRadius']
    .map((name) => getComputedStyle(one)[name]).join(' ');
  const found = [...document.querySelectorAll('button, select, textarea, input')].filter((one) => {
    if (['hidden', 'checkbox', 'radio', 'file', 'image'].includes(one.type) || !one.checkVisibility()) return false;
    const same = document.createElement(one.tagName);
    if (one.tagName === 'INPUT') same.type = one.type;
    bare.replaceChildren(same);
    return looks(one) === looks(same);
  });
  host.remove();
  return found.map((one) => one.outerHTML.slice(0, 120));
}"""


def test_the_look_finds_what_no_style_sheet_reaches(visit: Visitors) -> None:
    page = visit().page
    sheet = Path(str(find("dashboard/portal.css"))).read_text()
    controls = '<button class="button">a</button><button>b</button><div class="filters"><input><select></select></div>'
    page.set_content(f"<style>{sheet}</style>{controls}<input type=search name=c><textarea name=d></textarea>")
    assert [one.split(">")[0] for one in page.evaluate(LOOK)] == [
        "<button",
        '<input type="search" name="c"',
        '<textarea name="d"',
    ]


def test_every_button_and_field_is_styled(
    transactional_db: None, state_dir: Path, settings: Any, live_server: Any, visit: Visitors
) -> None:
    (state_dir / "static").mkdir()
    settings.STATIC_ROOT = state_dir / "static"
    showroom.fill()
    root = User.objects.create_superuser("root")
    running.start(actor=user_actor(root), environment=Environment.objects.get(name="test"), hours=24)
    kinds: dict[str, str] = {"": "/admin/login/"}
    for page in Crawl("root").pages():
        if page.answer.status_code < 400 and any(f"<{tag}" in page.html for tag in ("button", "select", "textarea")):
            kinds.setdefault(kind_of(page.path), page.path)
    visitor, stranger = visit(), visit()
    visitor.expected.append("422")  # there is no server behind whose journal a page asks
    sign_in(visitor, str(live_server.url), "root")
    bare = {}
    for path in kinds.values():
        who = stranger if path == "/admin/login/" else visitor
        who.page.goto(f"{live_server.url}{path}")
        who.page.wait_for_load_state()
        who.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        bare[path] = who.page.evaluate(LOOK)
    assert {path: found for path, found in bare.items() if found} == {}
    assert len(bare) > 40
