"""Every failure under /api/ has one shape, also where no operation of ours was reached."""

import json

import pytest
from django.test import Client

from deployments.http.problems import CONTENT_TYPE
from portal.api import api, described

pytestmark = pytest.mark.django_db
ELSEWHERE = ("/api/health", "/api/health/prod-1", "/api/alerts/alertmanager", "/api/prometheus/targets")


@pytest.mark.parametrize(
    "path", ["/api/", "/api/nothing", "/api/v1/nothing", "/api/v1/deployments/", "/api/v1/bots/a/b"]
)
def test_an_address_that_is_not_there_is_a_problem_document(path: str) -> None:
    for method in ("get", "post"):
        answer = getattr(Client(), method)(path)
        assert (answer.status_code, answer["Content-Type"]) == (404, CONTENT_TYPE)
        assert answer.json()["code"] == "ops-not-found"
        assert "/api/v1/docs" in answer.json()["hint"]


def test_a_method_that_an_address_does_not_take_is_one_too() -> None:
    addresses = {
        path.replace("{", "").replace("}", ""): set(methods) for path, methods in described(api)["paths"].items()
    }
    addresses |= {path: {"get", "post"} for path in ELSEWHERE}
    for path, taken in addresses.items():
        answer = Client().generic("PATCH" if "patch" not in taken else "TRACE", path)
        problem = json.loads(answer.content)
        assert (answer.status_code, answer["Content-Type"], problem["code"]) == (
            405,
            CONTENT_TYPE,
            "ops-method-not-allowed",
        ), path
        assert answer["Allow"], path
        assert problem["hint"] == f"It takes {answer['Allow']}."


def test_pages_for_people_stay_pages(db: None) -> None:
    assert "html" in Client().get("/nothing/")["Content-Type"]
    assert Client().post("/deployments/")["Content-Type"] != CONTENT_TYPE
