"""Who may see Prometheus and Alertmanager through the proxy."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _static(state_dir: Path, settings: Any) -> None:
    (state_dir / "static").mkdir()
    settings.STATIC_ROOT = state_dir / "static"


def signed_in(**facts: bool) -> Client:
    client = Client()
    user = User.objects.create_user("somebody", is_staff=facts["staff"])
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_staff_passes() -> None:
    assert signed_in(staff=True).get("/auth/staff").status_code == 204


@pytest.mark.parametrize("client", [Client(), None], ids=["a stranger", "an account that is no staff"])
def test_others_are_sent_to_the_sign_in_and_back(client: Client | None, settings: Any) -> None:
    client = client or signed_in(staff=False)
    answer = client.get("/auth/staff", headers={"X-Forwarded-Uri": "/prometheus/graph?g0=up"})
    assert answer.status_code == 302
    assert answer["Location"] == f"{settings.PORTAL_URL}/admin/login/?next=%2Fprometheus%2Fgraph%3Fg0%3Dup"


def test_nobody_is_sent_to_another_site(settings: Any) -> None:
    answer = Client().get("/auth/staff", headers={"X-Forwarded-Uri": "//evil.example/"})
    assert answer["Location"] == f"{settings.PORTAL_URL}/admin/login/?next=%2F"
