"""A workflow's identity for a token of minutes: the right one, and everything that is not."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from deployments.access.policy import token_actor
from deployments.access.tokens import authenticate
from deployments.github import issuer as issuers
from deployments.github.bindings import end_binding
from deployments.github.identity import OLDEST_SECONDS
from deployments.models import ApiToken, AuditEvent, Scope, WorkflowBinding
from tests.deployments.github.issuer import Issuer
from tests.deployments.world import World

pytestmark = pytest.mark.django_db
Bind = Callable[..., WorkflowBinding]
Swap = Callable[..., Any]


def refusal(answer: Any) -> tuple[int, str]:
    document = answer.json()
    assert not ApiToken.objects.exclude(binding=None).exists()
    return answer.status_code, document["reason"]


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_the_right_run_gets_a_token_of_minutes_with_the_bindings_scopes(
    issuer: Issuer, bind: Bind, swap: Swap, world: World
) -> None:
    binding = bind()
    world.link_github("operator")
    answer = swap(issuer.identity())
    document = answer.json()
    assert answer.status_code == 200, document
    assert (document["token_type"], document["expires_in"]) == ("Bearer", 1200)
    assert document["scope"] == "deploy read release"
    assert "no-store" in answer["Cache-Control"]
    token = authenticate(document["access_token"])
    assert token is not None
    assert token.binding == binding
    assert token.expires_at is not None
    assert 0 < (token.expires_at - token.created_at).total_seconds() <= 1201
    assert str(token_actor(token)) == "operator/token:github:alice-gh:acme/bot"
    event = AuditEvent.objects.get(name="token.issued")
    assert event.actor == "operator/token:github:alice-gh:acme/bot"
    assert event.data["run"] == "acme/bot/actions/runs/99"
    assert document["access_token"] not in json.dumps([one.data for one in AuditEvent.objects.all()])


def test_keys_of_elliptic_curves_are_taken_too(issuer: Issuer, bind: Bind, swap: Swap) -> None:
    bind()
    issuer.rotate("curve", ec.generate_private_key(ec.SECP256R1()))
    assert swap(issuer.identity()).status_code == 200


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"aud": "https://elsewhere.example.org"}, "meant for somebody else"),
        ({"aud": ["https://elsewhere.example.org"]}, "meant for somebody else"),
        ({"aud": None}, "not one that the issuer signed"),
        ({"iss": "https://elsewhere.example.org"}, "another issuer"),
        ({"exp": time.time() - 100}, "expired"),
        ({"exp": None}, "not one that the issuer signed"),
        ({"nbf": time.time() + 3600}, "not valid yet"),
        ({"iat": time.time() + 3600}, "not valid yet"),
        ({"iat": time.time() - OLDEST_SECONDS - 60, "exp": time.time() + 10**6}, "more than an hour ago"),
        ({"iat": None}, "not one that the issuer signed"),
        ({"jti": None}, "not one that the issuer signed"),
        ({"jti": ""}, "claim is missing"),
        ({"actor_id": None}, "claim is missing"),
        ({"actor_id": "x"}, "no number"),
        ({"repository_id": ["4711"]}, "claim is missing"),
        ({"workflow_ref": None}, "claim is missing"),
    ],
)
def test_an_identity_that_is_not_as_it_must_be(
    changes: dict[str, Any], says: str, issuer: Issuer, bind: Bind, swap: Swap
) -> None:
    bind()
    answer = swap(issuer.identity(**changes))
    assert refusal(answer) == (401, "identity_refused")
    assert says in answer.json()["detail"]


@pytest.mark.parametrize(
    "changes",
    [
        {"repository_id": "4712"},
        {"repository": "acme/other"},
        {"ref": "refs/heads/other", "workflow_ref": "acme/bot/.github/workflows/test-deploy.yml@refs/heads/other"},
        {"ref": "refs/heads/main/x"},
        {"ref": "refs/tags/main"},
        {"environment": "Portal"},
        {"environment": "other"},
        {"environment": None},
        {"environment": ["portal"]},
    ],
)
def test_another_repository_ref_or_environment_is_not_bound(
    changes: dict[str, Any], issuer: Issuer, bind: Bind, swap: Swap
) -> None:
    bind()
    assert refusal(swap(issuer.identity(**changes))) == (403, "not_bound")


def test_a_workflow_is_its_file_in_that_repository_at_that_ref(issuer: Issuer, bind: Bind, swap: Swap) -> None:
    bind(workflow=".github/workflows/test-deploy.yml")
    file = ".github/workflows/test-deploy.yml@refs/heads/main"
    others = ["acme/bot/.github/workflows/x.yml@refs/heads/main", f"evil/bot/{file}", f"acme/bot/{file}2"]
    for other in others:
        assert refusal(swap(issuer.identity(workflow_ref=other))) == (403, "not_bound")
    assert swap(issuer.identity()).status_code == 200


def test_a_star_is_the_rest_of_a_tag_and_nothing_else(issuer: Issuer, bind: Bind, swap: Swap) -> None:
    bind(ref="refs/tags/v*")
    for other in ("refs/tags/v1/x", "refs/tags/w1", "refs/heads/v1", "refs/heads/main"):
        assert refusal(swap(issuer.identity(ref=other))) == (403, "not_bound")
    assert swap(issuer.identity(ref="refs/tags/v1.2.3")).status_code == 200


def test_an_identity_is_exchanged_once(issuer: Issuer, bind: Bind, swap: Swap) -> None:
    bind()
    bind(name="again")
    identity = issuer.identity()
    assert swap(identity).status_code == 200
    answer = swap(identity)
    assert (answer.status_code, answer.json()["reason"]) == (401, "identity_replayed")
    assert ApiToken.objects.exclude(binding=None).count() == 1


def test_nothing_unsigned_and_nothing_signed_otherwise_is_believed(issuer: Issuer, bind: Bind, swap: Swap) -> None:
    bind()
    public = issuer.keys["first"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    claims = issuer.claims()
    unsigned = f"{part({'alg': 'none', 'kid': 'first'})}.{part(claims)}."
    head = {"alg": "HS256", "kid": "first", "typ": "JWT"}
    signing = f"{part(head)}.{part(claims)}"
    key = base64.urlsafe_b64encode(hmac.new(pem, signing.encode(), "sha256").digest())
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = jwt.encode(claims, stranger, "RS256", headers={"kid": "first"})
    other = jwt.encode(claims, issuer.keys["first"], "PS256", headers={"kid": "first"})
    own = jwt.encode(claims, stranger, "RS256", headers={"kid": "first", "jwk": {"kty": "RSA"}, "jku": issuer.url})
    good = issuer.identity().split(".")
    changed = ".".join([good[0], part(issuer.claims(repository="acme/bot", jti="x")), good[2]])
    deep = f"{base64.urlsafe_b64encode(b'[' * 4000).decode().rstrip('=')}.e30.e30"
    for identity in (unsigned, f"{signing}.{key.decode().rstrip('=')}", forged, other, own, changed, deep, "a.b.c"):
        assert refusal(swap(identity)) == (401, "identity_refused"), identity[:60]


def test_an_unknown_key_is_refused_and_asked_for_once_in_a_while(
    issuer: Issuer, bind: Bind, swap: Swap, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind()
    monkeypatch.setattr(issuers, "AGAIN_SECONDS", 3600.0)
    for number in ("x", "y", "z"):
        assert refusal(swap(issuer.identity(kid=number))) == (401, "identity_refused")
    assert issuer.asked == 1
    assert swap(issuer.identity()).status_code == 200
    assert issuer.asked == 1


def test_a_new_key_of_the_issuers_is_found_and_the_old_one_forgotten(issuer: Issuer, bind: Bind, swap: Swap) -> None:
    bind()
    assert swap(issuer.identity()).status_code == 200
    old, before = issuer.keys["first"], issuer.identity()
    issuer.rotate("second")
    assert swap(issuer.identity()).status_code == 200
    assert old is not issuer.keys["second"]
    answer = swap(before)
    assert (answer.status_code, answer.json()["reason"]) == (401, "identity_refused")


def test_while_the_issuer_is_away_nothing_is_issued_that_cannot_be_checked(
    issuer: Issuer, bind: Bind, swap: Swap
) -> None:
    bind()
    issuer.answers = False
    assert refusal(swap(issuer.identity())) == (502, "issuer_unreachable")
    issuer.answers = True
    assert swap(issuer.identity()).status_code == 200
    issuer.answers = False
    assert swap(issuer.identity()).status_code == 200  # its keys are known for an hour


def test_keys_are_fetched_over_tls_only(settings: Any, bind: Bind, swap: Swap, issuer: Issuer) -> None:
    bind()
    identity = issuer.identity()
    settings.GITHUB_ISSUER = "http://token.example.org"
    assert refusal(swap(identity)) == (502, "issuer_unreachable")


def test_an_ended_binding_ends_its_tokens_and_gives_no_more(
    issuer: Issuer, bind: Bind, swap: Swap, world: World
) -> None:
    binding = bind()
    text = swap(issuer.identity()).json()["access_token"]
    assert authenticate(text) is not None
    end_binding(actor=world.people["administrator"], binding=binding)
    assert authenticate(text) is None
    assert swap(issuer.identity()).status_code == 403
    names = set(AuditEvent.objects.values_list("name", flat=True))
    assert {"workflow.bound", "workflow.unbound", "token.issued", "token.revoked"} <= names


def test_for_an_environment_its_own_binding_comes_before_one_for_all(
    issuer: Issuer, bind: Bind, swap: Swap, world: World
) -> None:
    bind(scopes=[Scope.READ])
    bind(name="test only", scopes=[Scope.DEPLOY], environment=world.test)
    assert swap(issuer.identity(), audience="test").json()["scope"] == "deploy"
    assert swap(issuer.identity(), audience="production").json()["scope"] == "read"
    assert {str(row.environment) for row in ApiToken.objects.filter(scopes=["deploy"])} == {"test"}
