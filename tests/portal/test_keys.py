"""A process with other keys than the portal's history has does not start, and none are invented for it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from deployments.audit.trail import record_alone
from deployments.core.actors import system_actor
from deployments.core.portal_keys import OtherKeys, fingerprint, require_same
from deployments.models import AuditEvent, Environment, PortalKeys
from portal import environment
from portal.environment import BASE_DIR
from portal.first_start import FirstStart
from tests.portal.processes import without_settings

NEWER, STRANGE = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def keys(db: None) -> list[str]:
    """The history's, as its first start remembered them."""
    require_same()
    return list(settings.ENCRYPTION_KEYS)


def test_the_first_start_remembers_no_more_than_fingerprints(keys: list[str]) -> None:
    row = PortalKeys.objects.get()
    assert (row.signing, row.encryption) == (fingerprint(settings.SECRET_KEY), [fingerprint(key) for key in keys])
    kept = row.signing + "".join(row.encryption)
    assert all(key not in kept and fingerprint(key) != key for key in [settings.SECRET_KEY, *keys])
    require_same()
    assert PortalKeys.objects.count() == 1


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"SECRET_KEY": "another"}, "PORTAL_SECRET_KEY is another"),
        ({"ENCRYPTION_KEYS": [STRANGE]}, "PORTAL_ENCRYPTION_KEYS lacks 1 of 1"),
        ({"SECRET_KEY": "x", "ENCRYPTION_KEYS": [STRANGE]}, "is another, PORTAL_ENCRYPTION_KEYS lacks 1 of 1"),
    ],
)
def test_other_keys_are_named_and_change_nothing(keys: list[str], others: dict[str, object], said: str) -> None:
    before = PortalKeys.objects.values().get()
    with override_settings(**others):
        with pytest.raises(OtherKeys, match=said):
            require_same()
        with pytest.raises(CommandError, match=said):
            call_command("releases")
    assert PortalKeys.objects.values().get() == before
    call_command("releases")


def test_a_key_that_comes_on_top_is_needed_by_all_until_nothing_is_encrypted_with_the_older(keys: list[str]) -> None:
    with override_settings(ENCRYPTION_KEYS=[NEWER, *keys]):
        require_same()
    with pytest.raises(OtherKeys, match="lacks 1 of 2"):
        require_same()  # another machine, which does not have it yet
    with override_settings(ENCRYPTION_KEYS=[NEWER]), pytest.raises(OtherKeys, match="lacks 1 of 2"):
        require_same()  # the older was taken out too early
    with override_settings(ENCRYPTION_KEYS=[NEWER, *keys]):
        call_command("rotate_secrets")
    with override_settings(ENCRYPTION_KEYS=[NEWER]):
        require_same()


def test_an_installation_from_before_takes_its_own_keys_alone(db: None) -> None:
    Environment.objects.filter(name="test").update(private_key="kept")
    with override_settings(ENCRYPTION_KEYS=[STRANGE]), pytest.raises(OtherKeys, match="does not read its secrets"):
        require_same()
    assert not PortalKeys.objects.exists()
    require_same()
    assert PortalKeys.objects.exists()


def test_keys_that_are_lost_can_be_given_up_on_purpose(keys: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Environment.objects.filter(name="test").update(private_key="kept")
    with override_settings(SECRET_KEY="another", ENCRYPTION_KEYS=[STRANGE]):
        call_command("rotate_secrets", "--adopt")
        require_same()
    assert "deployments.Environment.private_key: 1 cannot be decrypted any more" in capsys.readouterr().out
    assert AuditEvent.objects.get(name="keys.adopted").data == {"deployments.Environment.private_key": 1}
    with pytest.raises(OtherKeys):
        require_same()


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> tuple[Path, dict[str, str]]:
    """A portal with a history on SQLite of its own, and the environment of its processes."""
    state = tmp_path_factory.mktemp("first")
    given = without_settings() | {
        "PORTAL_STATE_DIR": str(state),
        "DATABASE_URL": f"sqlite:///{state / 'portal.sqlite3'}",
    }
    shutil.copyfile(migrated, state / "portal.sqlite3")
    assert _run(given, "portal", "rotate_secrets", "--adopt").returncode == 0
    return state, given


def _run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=120)


def test_no_process_invents_keys_where_a_history_exists(portal: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    second = portal[1] | {"PORTAL_STATE_DIR": str(tmp_path)}
    done = _run(second, "portal", "qcluster")
    assert done.returncode == 1
    said = done.stderr.strip()
    assert said.startswith("PORTAL_SECRET_KEY is not set, and the database has a history"), said
    assert "\n" not in said
    assert not list(tmp_path.rglob("portal_*"))


def test_a_history_on_postgresql_is_seen_by_its_address(transactional_db: None) -> None:
    """Whatever way the address names it: a directory of sockets, too."""
    if connection.vendor != "postgresql":
        pytest.skip("about addresses of PostgreSQL")
    database = environment.database(environment.read(), BASE_DIR) | {"NAME": connection.settings_dict["NAME"]}
    first = FirstStart(BASE_DIR / "nowhere", database)
    assert first._has_history() is False
    record_alone(actor=system_actor("tests"), name="drill.rollback", subject="environment:test")
    assert first._has_history() is True


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["portal", "qcluster"], 1),
        (["portal.workers"], 1),
        (["gunicorn", "--config", "python:portal.gunicorn", "--bind", "127.0.0.1:0", "portal.wsgi:application"], 3),
    ],
)
def test_a_process_with_keys_of_its_own_says_so_and_ends(
    portal: tuple[Path, dict[str, str]], tmp_path: Path, words: list[str], code: int
) -> None:
    (tmp_path / "metrics").mkdir()
    others = {"PORTAL_SECRET_KEY": "another", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    done = _run(portal[1] | others, *words)
    assert done.returncode == code, done.stderr
    assert (
        "This process has other keys than the portal whose database it uses: PORTAL_SECRET_KEY is another."
        in done.stderr
    )
    assert "Traceback" not in done.stderr
