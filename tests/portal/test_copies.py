"""What others may keep of the portal: nothing of an answer, and no way into its state directory."""

import re
import stat
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from dashboard.urls import urlpatterns
from deployments.models import LogLine
from portal.first_start import keep_private
from tests.deployments.conftest import artifacts, quick, world
from tests.deployments.world import World

__all__ = ["artifacts", "quick", "world"]


def addresses(world: World) -> list[str]:
    """Every address that needs no more than a number or a name, and some that do not exist."""
    row = world.request()
    LogLine.objects.create(deployment=row, step="stage", text="a line")
    found = ["/admin/", "/api/v1/deployments", "/api/v1/openapi.json", "/api/v1/docs", "/nowhere", "/api/v1/nowhere"]
    for pattern in urlpatterns:
        path = re.sub(r"<number:[a-z]+>", str(row.pk), str(pattern.pattern))
        path = re.sub(r"<server:[a-z]+>", world.servers["production"].name, path)
        found.append("/" + re.sub(r"<uuid:[a-z]+>", "6f0e4f0b-5f0c-4a52-9b1c-0c1b5a3f2d11", path))
    return [*found, reverse("admin:deployments_auditevent_changelist"), reverse("admin:deployments_auditevent_export")]


ASKED_AGAIN = {"/"}
"""What a stranger's browser keeps, and asks about before it shows it."""
FOR_ANYBODY = ("/status.json", "/status.svg", "badge.svg", "/incidents.rss", "/incidents.atom")
"""What other people's pages embed and readers fetch: the same for everybody, and kept for ten seconds."""


MOMENT = re.compile(rb'"at": "[^"]*"|<(lastBuildDate|updated)>[^<]*')


def test_nobody_keeps_an_answer(world: World, settings: Any) -> None:
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
    token = world.token("operator")
    kept = []
    seen: dict[str, set[tuple[int, str]]] = {}
    bodies: dict[str, set[bytes]] = {}
    found = addresses(world)
    assert any(path.endswith("log.txt") for path in found)
    for who in ("viewer", None):
        client = world.client("viewer")
        if who is None:
            client.logout()
        for path in found:
            for headers in ({}, {"Authorization": f"Bearer {token}"}):
                answer = client.get(path, headers=headers)
                if path.endswith(FOR_ANYBODY):
                    seen.setdefault(path, set()).add((answer.status_code, answer.headers["Cache-Control"]))
                    bodies.setdefault(path, set()).add(MOMENT.sub(b"", answer.content))
                elif who is None and path in ASKED_AGAIN:
                    assert answer.headers["Cache-Control"] == "private, no-cache"
                elif "no-store" not in answer.headers.get("Cache-Control", ""):
                    kept.append((who, path))
    assert kept == []
    assert seen == {path: {(200, "public, max-age=10")} for path in seen}
    assert len(bodies) == len(FOR_ANYBODY)
    assert all(len(said) == 1 for said in bodies.values()), "who asks makes no difference"


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o777, 0o1777, 0o701])
def test_a_directory_that_others_could_enter_is_tightened(tmp_path: Path, mode: int) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(mode)
    keep_private(state)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_new_directory_is_its_owners_alone(tmp_path: Path) -> None:
    keep_private(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
