"""The way from an empty portal to a service that is watched: what is done, by the records, and who does what is not."""

from dataclasses import replace
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from alerting.summary import summary
from dashboard.selectors.first_step import FirstStep, FirstSteps, placed
from deployments.access.policy import may_somewhere
from deployments.access.team import administrators, who_may, whom_to_ask
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.core.texts import named, plural
from deployments.environments.stored_secrets import stored_secrets
from deployments.lifecycle import ACTIVE, WAITING, Status
from deployments.models import Deployment, Release, Secret, Server, SigningKey

LOOKED_AT = 200
"""Servers of a state; who has more is past all of this."""


def first_steps(actor: Actor | None) -> FirstSteps:
    """As `actor` sees them; None is any member, without who may do what. Two dozen queries at most."""
    servers = [*_servers(Server.State.PROVISIONED), *_servers(Server.State.ENROLLED)]
    running = [server for server in servers if "bot" in server.roles]
    ready = [server for server in running if server.state == Server.State.PROVISIONED]
    built = Release.objects.order_by("-id").first()
    steps = [
        _administrator(),
        _passkey(),
        _second_person(),
        _release(built),
        _server(running, ready, built),
        _secrets(running),
        _deployment(ready, built),
        _monitoring([server for server in servers if "monitoring" in server.roles], built),
    ]
    return FirstSteps(placed([_for(actor, step) for step in steps]))


def first_steps_untold() -> FirstSteps:
    """For somebody who is not signed in, at a portal that knows nobody: the steps, and nothing of what is stored."""
    steps = [
        _administrator(),
        _passkey(),
        _second_person(),
        _release(None),
        _server([], [], None),
        _secrets([]),
        _deployment([], None),
        _monitoring([], None),
    ]
    return FirstSteps(placed([replace(step, done=False, fact="", needs="", link="", label="") for step in steps]))


def in_use() -> bool:
    """Whether anything has been deployed here with success: who begins is past the first steps then."""
    return Deployment.objects.filter(status=Status.SUCCEEDED).exists()


def _for(actor: Actor | None, step: FirstStep) -> FirstStep:
    """With who may do it, where `actor` may not."""
    if actor is None or step.done or may_somewhere(actor, step.verb):
        return step
    return replace(step, who=whom_to_ask(step.verb))


def _servers(state: str) -> list[Server]:
    rows = Server.objects.filter(state=state).select_related("environment").order_by("pk")
    return list(rows.defer("facts", "unit_files", "readiness", "drift")[:LOOKED_AT])


def _administrator() -> FirstStep:
    names = list(administrators().order_by("username").values_list("username", flat=True))
    return FirstStep(
        "Make an administrator",
        Verb.MANAGE_PEOPLE,
        bool(names),
        named(names) if names else "Nobody can give out roles yet",
        "Adds servers, sets secrets and gives out roles. Whoever holds the portal's files makes the first one, in a "
        "terminal beside the portal; this page then asks for the name and password.",
        reverse("admin:auth_user_changelist"),
        "People",
        "./manage.py createsuperuser",
        at_hand="A terminal on the portal's machine.",
    )


def _passkey() -> FirstStep:
    key = SigningKey.objects.exclude(credential="").filter(revoked_at=None).order_by("pk").first()
    return FirstStep(
        "Add a passkey",
        Verb.OWN_KEY,
        key is not None,
        f"{key.person} signs in with one" if key else "Everybody signs in with a password alone",
        "A password can be guessed or given away; a passkey cannot.",
        reverse("admin:account"),
        "Add a passkey",
        at_hand="Your fingerprint, phone or security key.",
        may_wait=True,
    )


def _second_person() -> FirstStep:
    asking, agreeing = set(who_may(Verb.REQUEST)), set(who_may(Verb.APPROVE))
    together = bool(asking and agreeing and len(asking | agreeing) > 1)
    return FirstStep(
        "Invite a second person",
        Verb.MANAGE_PEOPLE,
        together,
        f"{plural(len(agreeing), 'person', 'people')} may approve what others ask for"
        if together
        else "Nobody could approve what somebody else asks for",
        "Whoever asks for a deployment to production never approves it. Test goes without.",
        reverse("admin:auth_user_add"),
        "Invite somebody",
        "./manage.py invite NAME --role approver",
        at_hand="A way to hand over a link: it is shown once.",
        may_wait=True,
    )


def _release(built: Release | None) -> FirstStep:
    return FirstStep(
        "Build a release",
        Verb.ADD_RELEASE,
        built is not None,
        f"The newest is {built.version}" if built else "Nothing was built yet",
        "What is deployed is built once, of one commit, and never changes.",
        reverse("admin:deployments_release_changelist"),
        "Ways to a release",
        "./manage.py build_release",
        at_hand="A repository with a deploy.toml, and all of it committed.",
        minutes=2,
    )


def _server(running: list[Server], ready: list[Server], built: Release | None) -> FirstStep:
    step = FirstStep(
        "Add a server",
        Verb.ENROL,
        bool(ready),
        f"{named([server.name for server in ready])} {'is' if len(ready) == 1 else 'are'} ready"
        if ready
        else "None is enrolled",
        "Where the release will run. The portal shows its key: compare it on the server's console.",
        f"{reverse('admin:deployments_server_add')}?roles=bot",
        "Add a server",
        "./manage.py enroll test-1 --environment test --host HOST",
        at_hand="Its address, its console to compare the key, and an account there that may become root.",
        minutes=3,
    )
    if ready or not running:
        return step
    return _to_provision(step, running[0], built)


def _secrets(servers: list[Server]) -> FirstStep:
    missing = [one.name for one in stored_secrets(servers[0].environment) if not one.version] if servers else []
    places = {server.environment_id for server in servers}
    names = Secret.objects.filter(environment__in=places).order_by("name").values_list("name", flat=True)
    stored = list(names.distinct())
    step = FirstStep(
        "Set the secrets",
        Verb.SET_SECRET,
        bool(stored) and not missing,
        f"{named(stored)} {'is' if len(stored) == 1 else 'are'} stored" if stored else "None is stored",
        "What the service signs in with, encrypted here and brought to its servers. Some need none.",
        how="./manage.py set_secret test cytube-password < FILE",
        at_hand="The password of the bot's account on CyTube, or what else the release names.",
        needs="" if servers else "They belong to an environment with a server: that one comes first.",
        may_wait=True,
    )
    if not servers:
        return step
    place = servers[0].environment
    name = missing[0] if missing else ""
    query = f"?{urlencode({'name': name})}" if name else ""
    return replace(
        step,
        fact=f"{named(missing)} {'is' if len(missing) == 1 else 'are'} missing in {place}" if missing else step.fact,
        link=reverse("admin:deployments_environment_secret", args=[place.pk]) + query,
        label=f"Set {name or 'a secret'}",
        how=f"./manage.py set_secret {place} {name or 'NAME'} < FILE",
    )


def _deployment(ready: list[Server], built: Release | None) -> FirstStep:
    last = Deployment.objects.defer("snapshot").select_related("environment").order_by("-id").first()
    step = FirstStep(
        "Deploy the release",
        Verb.REQUEST,
        in_use(),
        "One has succeeded",
        "Puts the release on its servers, verifies it, and goes back by itself where it fails.",
        how="./manage.py deploy test",
        at_hand="A reason; for production also somebody who approves.",
        needs="" if built and ready else "It takes a release and a server that is ready: they come first.",
    )
    if step.done:
        return step
    if last is not None and last.status in ACTIVE | WAITING:
        return replace(
            step,
            verb=Verb.VIEW,
            fact=f"#{last.pk} to {last.environment}: {last.get_status_display().lower()}",
            link=reverse("deployment", args=[last.pk]),
            label=f"Look at #{last.pk}",
            needs="",
        )
    place = ready[0].environment if ready else None
    return replace(
        step,
        fact=f"The last one, #{last.pk}, did not succeed" if last else "Nothing was deployed yet",
        link=reverse("admin:deployments_environment_request", args=[place.pk]) if place else "",
        label=f"Deploy to {place}",
        how=f"./manage.py deploy {place}" if place else step.how,
    )


def _monitoring(watching: list[Server], built: Release | None) -> FirstStep:
    unwatched = summary(timezone.now()).unwatched
    step = FirstStep(
        "Set up monitoring",
        Verb.ENROL,
        not unwatched,
        unwatched or "It is heard",
        "Without it nobody is told of a failure: Prometheus and Alertmanager, on a server with the role monitoring.",
        f"{reverse('admin:deployments_server_add')}?roles=monitoring",
        "Add a monitoring server",
        "./manage.py enroll ops-1 --environment production --host HOST --role monitoring",
        at_hand="A server for it, as for the first one; it may be the portal's own.",
        minutes=5,
        may_wait=True,
    )
    if step.done or not watching:
        return step
    server = watching[0]
    if server.state == Server.State.ENROLLED:
        return _to_provision(step, server, built)
    page = reverse("admin:deployments_server_change", args=[server.pk])
    return replace(
        step,
        verb=Verb.VIEW,
        why=f"{server} has the role monitoring: what it watches with comes with a deployment to {server.environment}.",
        link=page,
        label=f"Look at {server}",
        how=f"./manage.py deploy {server.environment}",
    )


def _to_provision(step: FirstStep, server: Server, built: Release | None) -> FirstStep:
    """The same step with a server that is enrolled."""
    return replace(
        step,
        verb=Verb.PROVISION,
        fact=f"{server} is enrolled, and not made ready yet",
        why="Accounts, directories, units and firewall are made there, once, by an account that may become root.",
        link=reverse("admin:deployments_server_provision", args=[server.pk]),
        label=f"Provision {server}",
        how=f"./manage.py provision {server}",
        needs="" if built else "A server is made ready for the units of a release: that one comes first.",
    )
