"""Readers that turn environment variables into the values of `portal.settings`."""

import os
import secrets
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from portal.first_start import FirstStart

# WAL lets readers and one writer work side by side; IMMEDIATE avoids lock upgrades that fail at once; FULL, because a
# commit lost at a power cut is a decision nobody can prove (measured: default settings lost 83 of 600 task results).
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}

# A database machine without power says nothing: without these a request waits two minutes for its answer, or for good.
POSTGRESQL_OPTIONS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

BASE_DIR = Path(__file__).resolve().parent.parent
"""The root of this tree, or where Python keeps its packages."""


def version() -> str:
    """What VERSION says in a tree, else the version of the installed package."""
    named = BASE_DIR / "VERSION"
    return named.read_text().strip() if named.exists() else metadata.version("cytube-ops-portal")


def state_dir() -> Path:
    """`PORTAL_STATE_DIR`, else `.state` in a tree; an installed portal keeps its state in the account's home."""
    home = Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "cytube-ops"
    default = BASE_DIR / ".state" if (BASE_DIR / "manage.py").exists() else home
    return Path(os.environ.get("PORTAL_STATE_DIR") or default).resolve()


def read() -> environ.Env:
    """The process environment; `NAME_FILE` is read by `secret` for secrets only."""
    return environ.Env()


def new_secret_key() -> str:
    """50 random characters for Django's SECRET_KEY."""
    return secrets.token_urlsafe(50)


def new_encryption_key() -> str:
    """One Fernet key (32 random bytes, base64)."""
    return Fernet.generate_key().decode()


def secret(env: environ.Env, name: str, first: FirstStart, generate: Callable[[], str]) -> str:
    """`name`, or the content of the file `name_FILE`, or a value generated once into the state directory.

    Raises ImproperlyConfigured when a named file cannot be read or is empty, or a key would be invented for a history.
    """
    if value := env(name, default=""):
        return str(value)
    if named := env(f"{name}_FILE", default=""):
        try:
            value = Path(named).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error}.") from error
        if not value:
            raise ImproperlyConfigured(f"{name}_FILE names an empty file: {named}.")
        return value
    return first.value(name, generate)


def optional_secret(env: environ.Env, name: str) -> str:
    """`name`, or the content of the file `name_FILE`; "" when neither is given. Raises ImproperlyConfigured."""
    if named := env(f"{name}_FILE", default=""):
        try:
            return Path(named).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error}.") from error
    return str(env(name, default=""))


def database(env: environ.Env, state_dir: Path) -> dict[str, Any]:
    """`DATABASE_URL` (or the URL in `DATABASE_URL_FILE`, since it may hold a password), else SQLite in `state_dir`."""
    if named := env("DATABASE_URL_FILE", default=""):
        os.environ["DATABASE_URL"] = Path(named).read_text().strip()
    config: dict[str, Any] = env.db("DATABASE_URL", default=f"sqlite:///{state_dir / 'portal.sqlite3'}")
    if "sqlite" in config["ENGINE"]:
        config["OPTIONS"] = {**SQLITE_OPTIONS, **config.get("OPTIONS", {})}
        # a file, as in real life: the in-memory database of several threads knows no locks
        config["TEST"] = {"NAME": str(state_dir / "test.sqlite3")}
        # closing the last connection rewrites the file: half of what a heartbeat cost (3 instead of 6.5 ms)
        config["CONN_MAX_AGE"] = 60
    else:
        config["OPTIONS"] = {**POSTGRESQL_OPTIONS, **config.get("OPTIONS", {})}
        config["CONN_MAX_AGE"] = 600
        config["CONN_HEALTH_CHECKS"] = True
    return config


def logging(level: str) -> dict[str, Any]:
    """Plain lines on standard error: the journal and the terminal both add the rest."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {name: {"level": level} for name in ("portal", "dashboard", "alerting", "deployments", "engine")}
        | {"paramiko": {"level": "CRITICAL"}},  # what it says with a traceback, we say in a sentence
    }
