"""Pages that links lead to, in a browser: axe-core finds nothing, and everything fits a narrow window.

320 pixels are what WCAG asks pages to fit without scrolling sideways (1.4.10); 640 are a window of 1280 at 200 %
(1.4.4). Tables, logs and code may scroll inside themselves.
"""

import re
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Any

import pytest
from django.contrib.auth.models import User

from dashboard.validation import running
from deployments.access.policy import user_actor
from deployments.models import Deployment, Environment
from tests.browser.test_control_room import sign_in
from tests.dashboard.browsing import Visitor, Visitors
from tests.fixtures import showroom
from tests.fixtures.reliability import fault_seed
from tests.portal.crawling import Crawl, kind_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LOOKS = tuple(product(((320, 800), (640, 450)), ("light", "dark")))
SAMPLE = {"": 3, "root": 8}
"""Pages that `make test` looks at, each in one look, by the run's seed: about half a minute."""
CUT = """() => {
  const scrolls = (one) => {
    for (let box = one.parentElement; box && box !== document.body; box = box.parentElement)
      if (['auto', 'scroll'].includes(getComputedStyle(box).overflowX)) return true;
    return false;
  };
  const says = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  const found = [];
  for (const one of document.querySelectorAll('body *')) {
    if (!says(one) || one.closest('svg, select, noscript')) continue;
    if (one.closest('.skip, .cy-skip')) continue;  // comes into the window with the focus, by keyboard
    if (!one.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const box = one.getBoundingClientRect(), style = getComputedStyle(one);
    if (box.width <= 1 || box.height <= 1) continue;  // for those who listen
    const held = style.display !== 'inline' && ['hidden', 'clip'].includes(style.overflowX);
    if (held && one.scrollWidth > one.clientWidth + 1) found.push('cut: ' + one.outerHTML.slice(0, 120));
    else if ((box.right > innerWidth + 1 || box.left < -1) && !scrolls(one))
      found.push('outside: ' + one.outerHTML.slice(0, 120));
  }
  return found.slice(0, 4);
}"""


def test_the_look_finds_what_is_cut_and_what_is_outside(visit: Visitors) -> None:
    page = visit().page
    page.set_viewport_size({"width": 320, "height": 800})
    long = "x" * 200
    page.set_content(
        f"<p style='overflow:hidden;width:90px'>{long}</p><div style='overflow:auto'><b>{long}</b></div>"
        f"<p style='overflow-wrap:anywhere'>{long}</p><div style='overflow:hidden'><i>{long}</i></div>"
    )
    assert [one[:10] for one in page.evaluate(CUT)] == ["cut: <p st", "outside: <"]


@dataclass(frozen=True)
class Looker:
    """Somebody who looks at pages of a portal."""

    portal: str
    who: str
    visitor: Visitor

    def wrong(self, path: str, size: tuple[int, int], scheme: Any) -> list[str]:
        """What is wrong with a page, looked at in this way; one that is there already is not asked for again."""
        page = self.visitor.page
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.emulate_media(color_scheme=scheme)
        if page.url != self.portal + path:
            if self.who:
                sign_in(self.visitor, self.portal, self.who)  # anew: some pages ask who signed in long ago again
            page.goto(self.portal + path)
            self.visitor.settled()
        page.evaluate("document.querySelectorAll('details:not(.drop)').forEach(one => { one.open = true; })")
        wider = self.visitor.sideways()
        return [
            *([f"{wider} px wider than the window"] if wider > 0 else []),
            *page.evaluate(CUT),
            *self.visitor.violations(),
        ]


@pytest.fixture
def portal(transactional_db: None, state_dir: Any, settings: Any, live_server: Any) -> str:
    """The address of a portal with something on every page."""
    (state_dir / "static").mkdir()
    settings.STATIC_ROOT = state_dir / "static"
    showroom.fill()
    showroom.every_state()
    root = User.objects.create_superuser("root")
    running.start(actor=user_actor(root), environment=Environment.objects.get(name="test"), hours=24)
    return str(live_server.url)


def pages_of(who: str) -> list[str]:
    """An address of each kind that somebody reaches, of deployments one of each state; strangers read the documents."""
    states = dict(Deployment.objects.values_list("pk", "status"))
    chosen: dict[str, str] = {}
    for page in Crawl(who, left_out="/docs/." if who else "").pages():
        if page.answer.status_code == 200 and "<html" in page.html:
            kind = re.sub(r"(deployments?)/(\d+)/", lambda found: f"{found[1]}/{states[int(found[2])]}/", page.path)
            chosen.setdefault(kind if kind != page.path else kind_of(page.path), page.path)
    return list(chosen.values())


def _found(portal: str, visit: Visitors, who: str, looks: list[tuple[str, Any]]) -> dict[str, list[str]]:
    looker = Looker(portal, who, visit())
    looker.visitor.expected.append("422")  # there is no server behind whose journal a page asks
    found = {f"{path} {size} {scheme}": looker.wrong(path, size, scheme) for path, (size, scheme) in looks}
    return {look: wrong for look, wrong in found.items() if wrong}


@pytest.mark.parametrize("who", SAMPLE)
def test_some_pages_are_accessible_and_fit_a_narrow_window(portal: str, visit: Visitors, who: str) -> None:
    pages, drawn = pages_of(who), Random(f"{fault_seed()} {who}")
    assert len(pages) > (60 if who else 9)
    looks = [(path, drawn.choice(LOOKS)) for path in drawn.sample(pages, SAMPLE[who])]
    assert _found(portal, visit, who, looks) == {}


@pytest.mark.full
@pytest.mark.parametrize("who", ["", "olga", "root"])
def test_every_page_is_accessible_and_fits_a_narrow_window(portal: str, visit: Visitors, who: str) -> None:
    assert _found(portal, visit, who, list(product(pages_of(who), LOOKS))) == {}
