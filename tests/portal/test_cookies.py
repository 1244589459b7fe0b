"""Cookies as a browser is given them: what docs/security.md says of sign-in."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


def test_a_session_ends_after_twelve_hours_and_forms_of_other_sites_send_nothing(db: None) -> None:
    get_user_model().objects.create_superuser("root", password="a long password of root")
    browser = Client(HTTP_HOST="localhost")
    browser.get("/admin/login/")
    browser.post("/admin/login/", {"username": "root", "password": "a long password of root"})
    session, form = browser.cookies["sessionid"], browser.cookies["csrftoken"]
    assert (session["samesite"], session["httponly"]) == ("Lax", True)
    assert 12 * 3600 - 120 < session["max-age"] <= 12 * 3600, "from the moment of signing in"
    assert form["samesite"] == "Strict"


@pytest.mark.parametrize("path", ["/status.json", "/status.svg", "/incidents.rss", "/incidents.atom"])
def test_what_caches_keep_for_everybody_carries_nobodys_session(path: str, db: None) -> None:
    get_user_model().objects.create_superuser("root", password="a long password of root")
    browser = Client(HTTP_HOST="localhost")
    browser.post("/admin/login/", {"username": "root", "password": "a long password of root"})

    def as_if_an_hour_had_gone_by() -> None:
        session = browser.session
        session["_signed_in"] = {**session["_signed_in"], "seen": (timezone.now() - timedelta(hours=1)).isoformat()}
        session.save()

    as_if_an_hour_had_gone_by()
    kept = browser.get(path)
    assert kept.headers["Cache-Control"].startswith("public")
    assert (kept.status_code, list(kept.cookies)) == (200, [])
    assert "sessionid" in browser.get("/").cookies, "a page of their own notes that they were there"
