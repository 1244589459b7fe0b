"""Cookies as a browser is given them: what docs/security.md says of sign-in."""

from django.contrib.auth import get_user_model
from django.test import Client


def test_a_session_ends_after_twelve_hours_and_forms_of_other_sites_send_nothing(db: None) -> None:
    get_user_model().objects.create_superuser("root", password="a long password of root")
    browser = Client(HTTP_HOST="localhost")
    browser.get("/admin/login/")
    browser.post("/admin/login/", {"username": "root", "password": "a long password of root"})
    session, form = browser.cookies["sessionid"], browser.cookies["csrftoken"]
    assert (session["max-age"], session["samesite"], session["httponly"]) == (12 * 3600, "Lax", True)
    assert form["samesite"] == "Strict"
