"""What a portal behind TLS is like: `check --deploy` is silent, cookies are safe, nothing inline is allowed."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from tests.deployments.world import World

ROOT = Path(__file__).resolve().parents[2]


def _manage(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PORTAL_", "DATABASE_"))}
    environment |= {
        "PORTAL_STATE_DIR": str(state),
        "PORTAL_URL": "https://ops.example.org",
        "PORTAL_ALLOWED_HOSTS": "ops.example.org",
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


def test_check_deploy_is_silent_with_the_production_settings(tmp_path: Path, migrated: Path) -> None:
    shutil.copyfile(migrated, tmp_path / "portal.sqlite3")
    done = _manage(tmp_path, "check", "--deploy", "--database", "default", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stdout
    assert "System check identified no issues (0 silenced)." in done.stdout


def test_a_missing_trigger_is_told_by_the_check(tmp_path: Path, migrated: Path) -> None:
    shutil.copyfile(migrated, tmp_path / "portal.sqlite3")
    with sqlite3.connect(tmp_path / "portal.sqlite3") as connection:
        connection.execute("DROP TRIGGER deployments_auditevent_no_delete")
    connection.close()
    done = _manage(tmp_path, "check", "--database", "default", "--fail-level", "WARNING")
    assert done.returncode == 1
    assert "deployments.W001" in done.stdout
    assert _manage(tmp_path, "migrate", "--verbosity", "0").returncode == 0
    assert _manage(tmp_path, "check", "--database", "default", "--fail-level", "WARNING").returncode == 0


@pytest.mark.parametrize("name", ["admin:index", "admin:login", "admin:deployments_deployment_changelist"])
def test_the_admin_allows_nothing_inline(name: str, world: World) -> None:
    policy = world.client("superuser").get(reverse(name), follow=True)["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["script-src"] == "'self' 'unsafe-eval'"
    assert directives["style-src"] == "'self'"
    assert directives["default-src"] == "'none'"
    assert directives["frame-ancestors"] == "'none'"


def test_public_pages_have_no_exception(world: World) -> None:
    policy = Client().get(reverse("status"))["Content-Security-Policy"]
    assert "unsafe" not in policy


def test_admin_pages_hold_nothing_inline(world: World) -> None:
    row = world.request()
    client = world.client("superuser")
    for address in (
        reverse("admin:index"),
        reverse("admin:deployments_deployment_changelist"),
        reverse("deployment", args=[row.pk]),
        reverse("admin:deployments_deployment_approve", args=[row.pk]),
        reverse("admin:deployments_environment_change", args=[row.environment_id]),
    ):
        page = client.get(address).content.decode()
        assert " style=" not in page, address
        assert "<style" not in page, address
        assert "<script>" not in page, address
        assert " onclick=" not in page, address
