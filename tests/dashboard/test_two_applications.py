"""Two applications with an environment of the same name: what machines read and pages show tells them apart."""

import pytest
from django.test import Client
from django.utils import timezone

from alerting import inbox
from dashboard.metrics import PortalCollector
from dashboard.selectors.targets import targets
from deployments.environments.registry import add_environment
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment, Server
from tests.fixtures.records import HOST_KEY, MakePerson, MakeRelease

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")


@pytest.fixture
def two(make_person: MakePerson) -> dict[str, Server]:
    """`test` of two applications, with a server each."""
    administrator = make_person("ada", "administrator")
    Environment.objects.filter(name="test").update(application="first")
    add_environment(actor=administrator, application="second", name="test", approvals=0)
    made = {}
    for application in ("first", "second"):
        environment = Environment.objects.get(application=application, name="test")
        made[application] = Server.objects.create(
            name=f"{application}-1",
            environment=environment,
            host=f"{application}.invalid",
            roles=["bot"],
            host_key=HOST_KEY,
            fingerprint="SHA256:" + "a" * 43,
            state=Server.State.PROVISIONED,
            facts={"health": {"port": 8001, "path": "/health"}},
        )
    return made


def test_what_prometheus_reads_has_a_label_for_each(two: dict[str, Server], make_release: MakeRelease) -> None:
    release = make_release("1.0.0")
    assert {group["labels"]["environment"] for group in targets()} == {"first/test", "second/test"}
    for server in two.values():
        for status in (Status.SUCCEEDED, Status.QUEUED):
            Deployment.objects.create(
                environment=server.environment,
                release=release,
                status=status,
                finished_at=timezone.now() if status == Status.SUCCEEDED else None,
                started_at=timezone.now(),
                requested_by="somebody",
                seal="0" * 64,
            )
    samples = [sample for metric in PortalCollector().collect() for sample in metric.samples]
    series = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples]
    assert len(series) == len(set(series))
    counted = {sample.labels["environment"] for sample in samples if sample.name.startswith("portal_deployments_")}
    assert counted == {"first/test", "second/test"}


@pytest.mark.parametrize(
    ("labels", "application"),
    [
        ({"environment": "second/test"}, "second"),
        ({"environment": "first/test", "server": "first-1"}, "first"),
        ({"environment": "test", "server": "second-1"}, "second"),
        ({"environment": "test"}, None),
        ({"environment": "third/test"}, None),
    ],
)
def test_an_alert_is_about_the_environment_that_its_labels_name(
    two: dict[str, Server], labels: dict[str, str], application: str | None
) -> None:
    report = inbox.Report("a1", "firing", timezone.now(), labels={"alertname": "BotDown", **labels})
    (alert,) = inbox.receive(delivery=inbox.Delivery("people", "{}", [report]))
    assert (alert.environment.application if alert.environment else None) == application


def test_pages_and_answers_tell_them_apart(two: dict[str, Server]) -> None:
    page = Client().get("/").content.decode()
    assert "first/test" in page
    assert "second/test" in page
    one = Client().get("/?environment=second/test").content.decode()
    assert "second-1" in one
    assert "first-1" not in one
