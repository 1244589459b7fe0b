"""The examples on the API's page: each is a call of this API that its schema takes, in both languages."""

import json
import re
import shlex
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from django.test import Client

from portal.api import api, described
from portal.api_examples import example_of

BASE = "https://ops.example.org"


def calls() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described(api)["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_every_example_is_a_call_that_its_schema_takes() -> None:
    for method, path, operation in calls():
        _is_one(method, path, operation)


def _is_one(method: str, path: str, operation: dict[str, Any]) -> None:
    document = described(api)
    example = example_of(document, method, path, operation, base=BASE)
    words = shlex.split(example.curl)
    assert words[0] == "curl"
    assert (words[words.index("-X") + 1] if "-X" in words else "GET") == method.upper()
    address = words[-1].partition("?")[0].removeprefix(BASE)
    assert re.fullmatch(re.sub(r"\\{\w+\\}", "[^/{}]+", re.escape(path)), address), address
    assert ("Authorization: Bearer $TOKEN" in words) == bool(operation.get("security"))
    if "-d" in words:
        body = json.loads(words[words.index("-d") + 1])
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        jsonschema_rs.validator_for({**schema, "components": document["components"]}).validate(body)
    compile(example.python, "example", "exec")
    assert f"requests.{method}(" in example.python
    assert f'"{words[-1]}"' in example.python


@pytest.mark.django_db
def test_the_page_shows_examples_and_is_searched_without_a_script(state_dir: Path, settings: Any) -> None:
    (state_dir / "static").mkdir()
    settings.STATIC_ROOT, settings.PORTAL_URL = state_dir / "static", BASE
    page = unescape(Client().get("/api/v1/docs").content.decode())
    assert page.count('class="card operation" id="') > len(list(calls()))
    assert f"'{BASE}/api/v1/rollbacks'" in page
    found = Client().get("/api/v1/docs", {"q": "ROLLBACK request"}).content.decode()
    assert 'id="create_rollback"' in found
    assert 'id="list_servers"' not in found
    assert 'value="ROLLBACK request"' in found
    none = Client().get("/api/v1/docs", {"q": "<b>nothing"}).content.decode()
    assert "No call has all of these words." in none
    assert "<b>nothing" not in none
