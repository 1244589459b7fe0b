"""The way from an empty portal to a bot that is watched: steps, each of them done as far as the records say."""

from dataclasses import dataclass

from django.urls import reverse
from django.utils import timezone

from alerting.summary import summary
from deployments.access.team import administrators
from deployments.core.texts import plural
from deployments.lifecycle import Status
from deployments.models import Deployment, Release, Secret, Server, SigningKey


@dataclass(frozen=True)
class FirstStep:
    """One step. `fact` is what the records say, `how` what to type, `link` where it is done in the browser."""

    title: str
    done: bool
    fact: str
    why: str
    how: str = ""
    link: str = ""
    label: str = ""


def first_steps() -> list[FirstStep]:
    """All of them, in the order in which they can be done. A dozen queries at most, whatever has been."""
    return [*_people(), _release(), *_machines(), _deployment(), _monitoring()]


def _people() -> list[FirstStep]:
    count = administrators().count()
    keys = SigningKey.objects.exclude(credential="").filter(revoked_at=None).exists()
    return [
        FirstStep(
            "An administrator",
            count > 0,
            plural(count, "administrator"),
            "Somebody has to give out the roles. Asking and approving take two people: invite the second one.",
            "./manage.py createsuperuser\n./manage.py invite NAME --role approver",
            reverse("admin:auth_user_changelist"),
            "People",
        ),
        FirstStep(
            "A passkey",
            keys,
            "somebody signs in with one" if keys else "nobody has one yet",
            "A password can be guessed or given away; a passkey cannot.",
            link=reverse("admin:account"),
            label="Your account",
        ),
    ]


def _release() -> FirstStep:
    built = Release.objects.exists()
    return FirstStep(
        "A release",
        built,
        "something was built" if built else "nothing was built yet",
        "What is deployed is built once and never changes. A server is made ready for the units of one.",
        "./manage.py build_release",
        reverse("admin:deployments_release_changelist"),
        "Releases",
    )


def _machines() -> list[FirstStep]:
    ready = Server.objects.filter(state=Server.State.PROVISIONED).count()
    enrolled = Server.objects.filter(state=Server.State.ENROLLED).count()
    secrets = Secret.objects.exists()
    return [
        FirstStep(
            "A server",
            ready > 0,
            f"{plural(ready, 'server')} ready, {enrolled} enrolled and not provisioned yet",
            "Compare the fingerprint that is shown with the one on the server's console, here or in a terminal.",
            "./manage.py enroll test-1 --environment test --host HOST\n./manage.py provision test-1",
            reverse("admin:deployments_server_changelist"),
            "Servers",
        ),
        FirstStep(
            "Secrets",
            secrets,
            "some are stored" if secrets else "none is stored",
            "What the bot signs in with: set on its environment's page, or on standard input. Some bots need none.",
            "./manage.py set_secret test cytube-password < FILE",
            reverse("admin:deployments_environment_changelist"),
            "Environments",
        ),
    ]


def _deployment() -> FirstStep:
    live = Deployment.objects.filter(status=Status.SUCCEEDED).exists()
    return FirstStep(
        "A deployment",
        live,
        "one has succeeded" if live else "none has succeeded yet",
        "Test goes at once; production waits for a second person.",
        "./manage.py deploy test",
        reverse("deployments"),
        "Deployments",
    )


def _monitoring() -> FirstStep:
    unwatched = summary(timezone.now()).unwatched
    return FirstStep(
        "Monitoring",
        not unwatched,
        unwatched or "it is heard",
        "Without it nobody is told of a failure.",
        "./manage.py enroll ops-1 --environment production --host HOST --role monitoring\n./manage.py provision ops-1",
        reverse("alerts"),
        "Alerts",
    )
