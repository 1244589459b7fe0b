"""The whole OpenAPI document, whatever is sent: no failure of ours, no undocumented answer, nothing leaked."""

import json
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import Group, User
from django.core import signals
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from deployments.access.policy import usable_scopes, user_actor
from deployments.access.tokens import issue_token
from deployments.core.actors import system_actor
from deployments.http import limits
from deployments.lifecycle import FINAL, Status
from deployments.models import Deployment, Environment, LogLine, Release, Role, Scope, Secret, Server
from deployments.requests.requests import request_deployment
from deployments.snapshot import seal

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
CANARY = "canary-7f3a"
# What a generator would hardly ever hit: names that exist, and a heartbeat that is true.
BODIES: dict[str, list[Any]] = {
    "environment": ["test", "production"],
    "release": ["1.0.0"],
    "to": ["1.0.0"],
    "sent_at": ["2026-05-04T12:00:00Z"],
    "health": [
        {
            "status": "connected",
            "connected": True,
            "channel": "rosey",
            "uptime": 12.5,
            "version": "1.0.0",
            "user_count": 3,
            "requests": 5,
            "errors": 0,
        }
    ],
}


@pytest.fixture
def schema(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The document as the portal serves it, and the portal behind it."""
    ends = (signals.request_started, signals.request_finished)
    for signal in ends:  # requests share the test's connection and its transaction
        signal.disconnect(close_old_connections)
    monkeypatch.setattr("deployments.http.limits.EXCHANGES", 10**9)
    monkeypatch.setattr("deployments.http.limits.ALL_EXCHANGES", 10**9)
    monkeypatch.setattr("deployments.github.issuer._ISSUERS", {})
    monkeypatch.setattr("django.conf.settings.GITHUB_ISSUER", "http://127.0.0.1:9")  # nobody answers there
    for rate in (limits.READS, limits.WRITES, limits.BEATS):
        monkeypatch.setattr(rate, "allowed", 10**9)
    monkeypatch.setattr(limits, "STRANGERS", 10**9)
    nobody_waits = threading.BoundedSemaphore(1)
    nobody_waits.acquire()
    monkeypatch.setattr("deployments.api.deployments._WAITERS", nobody_waits)
    yield schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())
    for signal in ends:
        signal.connect(close_old_connections)


@pytest.fixture
def known(test_server: Server, production_server: Server, example: Release) -> dict[str, list[Any]]:
    """Records with secrets in them, and what a caller could name them by."""
    Environment.objects.update(private_key=f"{CANARY} private key", public_key="ssh-ed25519 AAAA")
    for server in Server.objects.all():
        Server.objects.filter(pk=server.pk).update(
            host=f"{CANARY}-{server.pk}.invalid", host_key=f"ssh-ed25519 {CANARY}"
        )
    for home in Environment.objects.all():
        Secret.objects.create(environment=home, name="cytube-password", version=1, value=CANARY, created_by="tests")
    User.objects.create_user("dora", password=f"{CANARY} password", email=f"{CANARY}@example.invalid")
    first = request_deployment(
        actor=system_actor("tests"), release=example, environment=Environment.objects.get(name="production")
    )
    for status in FINAL:
        Deployment.objects.create(
            environment=first.environment,
            release=example,
            status=status,
            requested_by="olga",
            snapshot=first.snapshot,
            seal=seal(first.snapshot),
            finished_at=timezone.now(),
        )
    for row in Deployment.objects.all():
        LogLine.objects.bulk_create(LogLine(deployment=row, text=f"line {n}") for n in range(3))
    return {
        "number": list(Deployment.objects.values_list("pk", flat=True)),
        "name": [test_server.name, production_server.name],
        "identifier": [example.identifier, example.version],
    }


@pytest.fixture
def tokens(test_server: Server) -> dict[str, str]:
    """No token, a wrong one, one of each scope, and one that may do everything."""
    everything = User.objects.create_user("root")
    everything.groups.set(Group.objects.filter(name__in=Role.values))
    found = {"none": "", "wrong": "cyop_" + "a" * 43}
    for name, scopes, server in [
        *((str(scope), [scope], test_server if scope == Scope.HEARTBEAT else None) for scope in Scope),
        ("all", usable_scopes(everything), None),
    ]:
        owner = None if server else everything
        actor = system_actor("tests") if owner is None else user_actor(owner)
        _, text = issue_token(actor=actor, name=name, scopes=scopes, owner=owner, server=server)
        found[name] = str.__str__(text)
    return found


def operations(schema: Any) -> Iterator[Any]:
    for result in schema.get_all_operations():
        yield result.ok()


def exercise(schema: Any, known: dict[str, list[Any]], tokens: dict[str, str], each: int) -> Counter[str]:
    """Send `each` requests to every operation; returns how many got which answer."""
    seen: Counter[str] = Counter()

    def exercise_one(operation: Any) -> None:
        cases = st.one_of(
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
            operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        )

        # two of three requests get past the door
        fitting = tokens["heartbeat" if operation.path.endswith("heartbeats") else "all"]
        mixed = [fitting] * 2 * len(tokens) + list(tokens.values())

        @settings(
            max_examples=each,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases, token=st.sampled_from(mixed), data=st.data())
        def send(case: Any, token: str, data: st.DataObject) -> None:
            for parameter, values in known.items():
                if parameter in (case.path_parameters or {}) and data.draw(st.booleans()):
                    case.path_parameters[parameter] = data.draw(st.sampled_from(values))
            if isinstance(case.body, dict):
                for field in set(case.body) & set(BODIES):
                    if data.draw(st.booleans()):
                        case.body[field] = data.draw(st.sampled_from(BODIES[field]))
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            with warnings.catch_warnings():
                # werkzeug's client warns about what the generator makes of some forms
                warnings.simplefilter("ignore")
                response = case.call(headers=headers)
            seen[f"{response.status_code}"] += 1
            # no Alertmanager runs here, and what asks it says so
            expected = {not_a_server_error} if response.status_code == 502 else set()
            case.validate_response(response, checks=[check for check in CHECKS if check not in expected])
            assert CANARY not in response.text
            assert not token or token not in response.text

        send()

    for operation in operations(schema):
        exercise_one(operation)
    return seen


def test_hundreds_of_requests_find_nothing_wrong(
    schema: Any, known: dict[str, list[Any]], tokens: dict[str, str]
) -> None:
    count = len(list(operations(schema)))
    seen = exercise(schema, known, tokens, -(-400 // count))
    assert seen.total() >= 0.9 * 400, seen  # small operations have fewer different requests
    assert set(seen) >= {"200", "401", "403", "404", "422"}, seen


@pytest.mark.full
def test_twenty_thousand_requests_find_nothing_wrong(
    schema: Any, known: dict[str, list[Any]], tokens: dict[str, str]
) -> None:
    count = len(list(operations(schema)))
    seen = exercise(schema, known, tokens, -(-25_000 // count))
    assert seen.total() >= 20_000, seen
    assert "204" in seen, seen


def test_the_document_is_complete(schema: Any) -> None:
    document = schema.raw_schema
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names)) >= 17
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["description"], where
            scheme = (
                "UploaderToken" if where == "post /api/v1/releases" else "BearerToken"
            )  # asked before a body is read
            if where not in {"post /api/v1/tokens/exchange", "post /api/v1/push/{name}"}:  # makes one; is signed
                assert operation["security"] == [{scheme: []}], where
            assert {"400", "401", "403", "422", "429"} <= {str(code) for code in operation["responses"]}, where


def test_every_body_and_parameter_has_an_example(schema: Any) -> None:
    document = schema.raw_schema
    without = [
        f"{name}.{field}"
        for name, described in document["components"]["schemas"].items()
        if name.endswith("In")
        for field, about in described["properties"].items()
        if not {"examples", "default", "$ref", "allOf"} & set(about) and not about.get("format")
    ]
    assert without == []
    text = json.dumps(document)
    assert '"example"' in text
    assert "localhost" not in text


def test_a_deployments_statuses_are_those_of_the_lifecycle(schema: Any) -> None:
    assert set(schema.raw_schema["components"]["schemas"]["Status"]["enum"]) == {str(status) for status in Status}
