"""The same portal as in the tests of the dashboard, an alert of a server in it, and who has it in hand."""

from collections.abc import Callable

import pytest

from alerting.models import Alert
from deployments.core.actors import Actor
from deployments.models import Server
from tests.dashboard import records
from tests.dashboard.conftest import anyone, enrol, own_state, production, stand_in, static_directory, token_for
from tests.fixtures.records import MakePerson

__all__ = ["anyone", "enrol", "own_state", "production", "stand_in", "static_directory", "token_for"]


@pytest.fixture
def olga(make_person: MakePerson) -> Actor:
    return make_person("olga", "operator")


@pytest.fixture
def alert(enrol: Callable[..., Server]) -> Alert:
    server = enrol()
    return records.alert(server.environment, server=server)
