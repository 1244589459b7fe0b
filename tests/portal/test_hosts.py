"""Names that the portal does not go by: refused, on every page and to every program."""

import pytest
from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]


@pytest.mark.parametrize("path", ["/healthz", "/", "/admin/", "/api/health", "/nowhere"])
def test_another_name_is_refused_and_breaks_nothing(path: str) -> None:
    """As a balancer asks that was told the machine's name alone."""
    answer = Client(raise_request_exception=False).get(path, headers={"host": "two:8080"})
    assert (answer.status_code, b"This request cannot be answered" in answer.content) == (400, True)
