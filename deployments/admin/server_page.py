"""A server's page in words: what is wanted of it, what runs there, how it differs, and what it is."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse

from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.admin.actors import actor_of
from deployments.admin.drift_files import differing
from deployments.admin.enrolment import enrol_again_address
from deployments.environments.machines import neighbours
from deployments.environments.secrets import MONITORING_TOKEN, PORTAL_TOKEN
from deployments.environments.stored_secrets import StoredSecret, stored_secrets
from deployments.models import Deployment, Operation, Server, Target
from deployments.operations.selectors import reads_journal
from engine.ssh.keys import HostKey

SHOWN = 5
AT_DRIFT = ("put-back", "accept-drift", "drift")
"""Actions that stand where the differences do."""
AT_THE_END = ("provision", "decommission")
"""Those that nobody needs from day to day."""
_EMPTY = {
    "no deployment": ("deployments",),
    "no operation from this page (restart, stop, command)": ("operations",),
    "no look at the machine (provisioning does)": ("machine",),
    "no secrets": ("secrets", "tokens"),
    "no unit files on record": ("units",),
}
"""What is told in one line where all of its parts are empty."""


@dataclass(frozen=True)
class Missing:
    """What the server lacks to do its work, and where that is put right; `url` is empty where this person may not."""

    sentence: str
    label: str = ""
    url: str = ""


def server_page(request: HttpRequest, server: Server, actions: list[dict[str, Any]]) -> dict[str, Any]:
    """What the template shows; `actions` are those that this person is offered."""
    by_slug = {action["slug"]: action for action in actions}
    missing = _missing(request, server, by_slug)
    last = [slug for slug in AT_THE_END if not (missing and slug in missing.url)]
    newest = Target.objects.filter(server=server).order_by("-pk").values("deployment")[:SHOWN]
    rows = Deployment.objects.select_related("release", "environment").defer("snapshot")
    unsure = {"start", "stop"} <= by_slug.keys()  # nobody knows whether it runs: then neither is the thing to do
    shown = [
        _quiet(one) if unsure and one["slug"] == "start" else one
        for one in actions
        if one["slug"] not in (*AT_DRIFT, *AT_THE_END)
    ]
    found: dict[str, Any] = {
        "server": server,
        "portal_actions": sorted(shown, key=lambda one: one["tone"] == "bad"),
        "drift_actions": [by_slug[slug] for slug in AT_DRIFT if slug in by_slug],
        "last_actions": [_quiet(by_slug[slug]) for slug in last if slug in by_slug],
        "missing": missing,
        "enrol_again": enrol_again_address(server) if may(actor_of(request), Verb.ENROL, server.environment) else "",
        "reads_journal": reads_journal(actor=actor_of(request), server=server),
        "accepted": [one for one in server.drift.get("differences", []) if one not in server.open_drift],
        "differing": differing(server),
        "disk": _disk(server.drift.get("disk")),
        "deployments": list(rows.filter(pk__in=newest).with_taken_back().order_by("-id")),
        "operations": list(Operation.objects.filter(server=server)[:SHOWN]),
        "machine": machine_in_words(server.facts),
        "installed": _installed(server),
        "jump_fingerprint": HostKey.parse(server.jump_host_key).fingerprint if server.jump else "",
        "secrets": _secrets(server),
        "tokens": [name for name in (PORTAL_TOKEN, MONITORING_TOKEN) if name in server.secret_versions],
        "units": sorted(server.unit_files.items()),
    }
    return found | {"not_yet": [words for words, names in _EMPTY.items() if not any(found[name] for name in names)]}


def _missing(request: HttpRequest, server: Server, offered: dict[str, dict[str, Any]]) -> Missing | None:
    """The next step of a server that nothing runs on yet."""
    environment, actor = server.environment, actor_of(request)
    if server.state == Server.State.RETIRED:
        return Missing("It is decommissioned: no target of deployments, and neither scraped nor shown.")
    if server.state == Server.State.ENROLLED:
        sentence = "Its host key is pinned. Provisioning makes its accounts, directories, rules and units."
        if "provision" in offered:
            return Missing(sentence, "Provision it", offered["provision"]["url"])
        return Missing(f"{sentence} An administrator does that here, or by manage.py provision {server.name}.")
    if server.current_release_id is None:
        sentence = f"It is ready, and nothing has been deployed to it yet: it gets what {environment} gets."
        open_to = not (environment.locked or environment.retired) and may(actor, Verb.REQUEST, environment)
        url = reverse("admin:deployments_environment_request", args=[environment.pk]) if open_to else ""
        return Missing(sentence, f"Deploy to {environment}" if url else "", url)
    return None


def _quiet(action: dict[str, Any]) -> dict[str, Any]:
    """Without a colour that invites."""
    return {**action, "tone": "plain" if action["tone"] == "good" else action["tone"]}


def _installed(server: Server) -> list[Server]:
    """What has a place on its machine, itself among them while it is in service: by address, or by host key."""
    here = [] if server.state == Server.State.RETIRED else [server]
    return sorted([*here, *neighbours([server])[0]], key=lambda row: (row.environment.application, row.name))


def _secrets(server: Server) -> list[StoredSecret]:
    """Those that the environment has and this server should."""
    return [one for one in stored_secrets(server.environment) if server.name in (*one.on, *one.behind)]


def _disk(found: Any) -> str:
    """How much room was left when it was compared last."""
    free, total = (_bytes(found.get(name)) for name in ("free", "total")) if isinstance(found, dict) else ("", "")
    return f"{free} free of {total}" if free and total else ""


def machine_in_words(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """What provisioning found, as far as it can be read: a server says it."""
    said = {
        "System": _text(facts.get("os")),
        "Kernel": _text(facts.get("kernel")),
        "Architecture": _text(facts.get("architecture")),
        "Python": _text(facts.get("python")),
        "Processors": str(facts["cpus"]) if _number(facts.get("cpus")) else "",
        "Memory": _bytes(facts.get("memory")),
        "Disk below /opt": _disk(facts.get("disk")),
        "Clock": {"True": "synchronised", "False": "not synchronised"}.get(str(facts.get("time_synchronised")), ""),
    }
    return [(name, value) for name, value in said.items() if value]


def _text(value: Any) -> str:
    return value[:120] if isinstance(value, str) else ""


def _bytes(value: Any) -> str:
    return filesizeformat(value) if _number(value) else ""


def _number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62
