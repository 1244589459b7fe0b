"""Lists of the control room are narrowed by their own filters alone: an address reads no column beside them."""

from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from deployments.admin.base import PortalAdmin
from tests.deployments.world import World

REGISTERED = [pytest.param(each, id=each.opts.label_lower) for each in admin.site._registry.values()]
LOOKUPS = ("", "__exact", "__regex", "__startswith", "__gt", "__in", "__contains", "__isnull", "__range", "__length")
LINKED = {"deployments.auditevent": {"subject", "actor", "name", "environment"}}
"""Columns that links of ours narrow a list by, beside its filters."""


def columns(model: type[Model], depth: int = 1) -> Iterator[str]:
    """Every field of a model, and those of the models that it points to or that point to it."""
    for each in model._meta.get_fields():
        yield each.name
        if depth and each.related_model and isinstance(each.related_model, type):
            yield from (f"{each.name}__{inner}" for inner in columns(each.related_model, depth - 1))


def filtered(model_admin: PortalAdmin[Any]) -> set[str]:
    """The columns that the list's filters show."""
    named = [each[0] if isinstance(each, tuple) else each for each in model_admin.list_filter]
    return {each for each in named if isinstance(each, str)} | LINKED.get(model_admin.opts.label_lower, set())


@pytest.mark.parametrize("model_admin", REGISTERED)
def test_every_page_of_the_control_room_has_the_one_base(model_admin: Any) -> None:
    assert isinstance(model_admin, PortalAdmin)


@pytest.mark.django_db
@pytest.mark.parametrize("model_admin", REGISTERED)
def test_no_column_is_read_through_the_address_of_a_list(model_admin: PortalAdmin[Any], rf: Any) -> None:
    request = rf.get("/")
    request.user = User(username="root", is_superuser=True)
    own = filtered(model_admin)
    tried = {name + lookup for name in {*columns(model_admin.model), "pk"} for lookup in LOOKUPS}
    allowed = {each for each in tried if model_admin.lookup_allowed(each, "x", request)}
    beside = {
        each
        for each in allowed
        if not any(f"{each}__".startswith(f"{name}__") for name in own) or each.endswith(LOOKUPS[2:7])
    }
    assert len(tried) > 20
    assert beside == set()
    exact = {f"{name}__{lookup}" for name in own for lookup in ("id__exact", "exact", "isnull")}
    assert {each for each in allowed if each.count("__") > 1} <= exact


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("auth_user", "username=administrator&password__regex=^pbkdf2"),
        ("auth_user", "password__startswith=pbkdf2"),
        ("auth_user", "groups__user__password__regex=."),
        ("deployments_apitoken", "digest__startswith=a"),
        ("deployments_apitoken", "owner__password__regex=."),
        ("deployments_apitoken", "environment__private_key__regex=."),
        ("deployments_server", "environment__next_private_key__gt=a"),
        ("deployments_notificationchannel", "address__regex=."),
        ("axes_accessattempt", "post_data__regex=."),
        ("django_q_ormq", "payload__regex=."),
        ("django_q_success", "result__regex=."),
    ],
)
def test_a_list_refuses_what_it_does_not_show(world: World, name: str, query: str) -> None:
    client = world.client("superuser")
    address = reverse(f"admin:{name}_changelist")
    assert client.get(address).status_code == 200
    assert client.get(f"{address}?{query}").status_code == 400


@pytest.mark.parametrize("model_admin", REGISTERED)
def test_every_filter_that_a_list_offers_works(model_admin: PortalAdmin[Any], world: World) -> None:
    world.succeeded(world.releases[0])
    world.request()
    client: Client = world.client("superuser")
    address = reverse(f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}_changelist")
    page = client.get(address, follow=True)
    if "cl" not in (page.context or {}):
        pytest.skip("this model has one row, and no list")
    request = page.wsgi_request
    for spec in page.context["cl"].filter_specs:
        for choice in spec.choices(page.context["cl"]):
            query = urlsplit(unescape(escape(choice["query_string"]))).query
            for key, value in parse_qsl(query, keep_blank_values=True):
                assert model_admin.lookup_allowed(key, value, request), f"{key}={value}"
            assert client.get(f"{address}{choice['query_string']}").status_code == 200
