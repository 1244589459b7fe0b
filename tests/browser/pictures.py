"""Pictures of the documentation, from a demo that has been used for a while.

    python -m tests.browser.pictures http://127.0.0.1:8080 --operator PASSWORD --approver PASSWORD

It looks and changes nothing. What the pictures need is there when `make demo` runs, both bots are in their rooms with
people around them, something was rolled back, and a request waits for approval.
"""

import argparse
import re
import shutil
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.dashboard.browsing import ARGUMENTS, SIZES

STATUS: dict[str, dict[str, str]] = {"light": {}, "dark": {"scheme": "dark"}, "phone": {"size": "phone"}}
IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"


def main() -> None:
    """Write them all."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.pictures", description=__doc__)
    parser.add_argument("portal", help="address of the demo's portal")
    parser.add_argument("--operator", required=True, metavar="PASSWORD")
    parser.add_argument("--approver", required=True, metavar="PASSWORD")
    parser.add_argument("--into", type=Path, default=IMAGES)
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        for name, look in STATUS.items():
            _keep(_opened(browser, options.portal, **look), options.into / f"status-{name}.png")
        _control_room(browser, options.portal, options.operator, options.approver, options.into)
        browser.close()


def _control_room(browser: Browser, portal: str, operator: str, approver: str, into: Path) -> None:
    page = _opened(browser, f"{portal}/admin/")
    _sign_in(page, "operator", operator)
    page.goto(f"{portal}/deployments/?environment=production&status=succeeded&kind=deployment")
    page.locator("tbody th a").first.click()
    page.get_by_text("Complete.").wait_for()
    _keep(page, into / "deployment.png")
    page = _opened(browser, f"{portal}/admin/")
    _sign_in(page, "approver", approver)
    _keep(page, into / "admin-overview.png")
    page.get_by_role("link", name=re.compile("Read and decide")).first.click()
    _keep(page, into / "admin-approve.png")
    page.goto(f"{portal}/admin/deployments/auditevent/")
    _keep(page, into / "admin-audit.png", whole=False)


def _opened(browser: Browser, address: str, scheme: str = "light", size: str = "desktop") -> Page:
    width, height = SIZES[size]
    page = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    ).new_page()
    page.goto(address)
    return page


def _sign_in(page: Page, who: str, password: str) -> None:
    page.fill("input[name=username]", who)
    page.fill("input[name=password]", password)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Recent deployments").wait_for()


def _keep(page: Page, path: Path, *, whole: bool = True) -> None:
    page.wait_for_load_state("networkidle")
    page.screenshot(path=path, full_page=whole)


if __name__ == "__main__":
    main()
