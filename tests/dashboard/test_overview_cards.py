"""The cards of the control room's overview: beside what was deployed, how the bots there are."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from alerting.models import Alert
from deployments.models import Server
from tests.dashboard import records
from tests.deployments.admin.test_pages import text_of

Enrol = Callable[..., Server]
pytestmark = pytest.mark.django_db


@pytest.fixture
def reader(state_dir: Path, settings: Any) -> Client:
    (state_dir / "static").mkdir()
    settings.STATIC_ROOT = state_dir / "static"
    client = Client()
    client.force_login(User.objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def card_of(client: Client, name: str) -> str:
    """The words of an environment's card."""
    page = client.get(reverse("admin:index")).content.decode()
    cards = re.findall(r'(?s)<section class="cy-card" aria-labelledby="cy-env-\d+">(.*?)</section>', page)
    return next(words for words in map(text_of, cards) if words.strip().startswith(name))


def test_a_card_says_how_its_bots_are_and_what_is_past_of_one_that_is_gone(reader: Client, enrol: Enrol) -> None:
    server, other = enrol("prod-1"), enrol("prod-2")
    enrol("never-used")
    records.beat(server, uptime=7200.0)
    records.beat(other, ago=3, connected=False, uptime=30.0)
    card = card_of(reader, "production")
    assert re.search(r"prod-1 +Connected +running for 2 h[^·]*· heard just now · answers in 2 ms", card), card
    assert re.search(r"prod-2 +Not in its room +running for 30", card), card
    assert card.count("never-used") == 1, "a server that nothing was heard from or deployed to is no bot yet"
    records.beat(server, ago=900, uptime=7200.0)
    records.beat(other, goodbye=True)
    card = card_of(reader, "production")
    assert "prod-1 Down" in re.sub(r" +", " ", card)
    assert "answers in" not in card.partition("prod-2")[0]
    assert "prod-2 Stopped" in re.sub(r" +", " ", card)


def test_a_card_names_its_alerts_and_the_banner_those_of_no_card(reader: Client, enrol: Enrol) -> None:
    server = enrol("prod-1")
    records.beat(server)
    records.alert(server.environment, "RollbacksRepeated")
    assert "Rollbacks repeated" in card_of(reader, "production")
    assert "Rollbacks repeated" not in card_of(reader, "test")
    page = reader.get(reverse("admin:index")).content.decode()
    assert page.count(">Rollbacks repeated<") == 1
    Alert.objects.update(environment=None)
    page = reader.get(reverse("admin:index")).content.decode()
    assert ">Rollbacks repeated<" in page.partition('id="cy-stands"')[2].partition("</section>")[0]


def test_cards_cost_the_same_however_many_bots_there_are(reader: Client, enrol: Enrol) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            reader.get(reverse("admin:index"))
        return len(seen)

    records.beat(enrol("prod-1"))
    queries()
    before = queries()
    for number in range(2, 9):
        records.beat(enrol(f"prod-{number}"))
    assert queries() == before
    assert "and 2 more on the status page" in card_of(reader, "production")
