"""Every environment variable of the portal, with its type: `python -m portal.variables` prints docs/settings.md.

`portal.settings` takes its values from here; a value of the wrong type ends the start with a sentence. Those that are
read elsewhere (secrets, or before Django is there) are listed all the same.
"""

import ipaddress
import os
import re
import sys
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE = frozenset({"true", "on", "ok", "yes", "y", "1"})
FALSE = frozenset({"false", "off", "no", "n", "0"})
_HOST = re.compile(r"[a-z0-9_-][a-z0-9._-]*|\[[0-9a-f:.]+\]")


@dataclass(frozen=True)
class Variable:
    """One variable; `shown` is its default in words, where the value itself would not say it."""

    name: str
    meaning: str
    shown: str = field(default="", kw_only=True)
    kind = "text"

    @property
    def text(self) -> str:
        """What the process was given, "" for nothing."""
        return os.environ.get(self.name, "").strip()

    def wrong(self, must: str) -> ImproperlyConfigured:
        """The sentence with which the start ends."""
        return ImproperlyConfigured(f"{self.name} is {self.text!r}; it must be {must}.")


@dataclass(frozen=True)
class Text(Variable):
    """Any text."""

    default: str = ""

    def read(self) -> str:
        """Its value or the default."""
        return self.text or self.default


@dataclass(frozen=True)
class Address(Text):
    """Where something is reached."""

    kind = "address, http:// or https://"

    def read(self) -> str:
        """Its value or the default, without a slash at the end. Raises ImproperlyConfigured."""
        if self.text and not self.text.startswith(("http://", "https://")):
            raise self.wrong("an address that begins with http:// or https://")
        return super().read().rstrip("/")


@dataclass(frozen=True)
class Origin(Address):
    """Where the portal itself is reached: scheme, host and port."""

    kind = "address, http:// or https://, without a path"

    def read(self) -> str:
        """Its value or the default, without a slash at the end. Raises ImproperlyConfigured."""
        address = super().read()
        try:
            parts = urlsplit(address)
            whole = f"{parts.scheme}://{host_of(address)}" + (f":{parts.port}" if parts.port is not None else "")
        except ValueError:
            whole = ""
        if whole.lower() != address.lower() or not _HOST.fullmatch(host_of(address)):
            raise self.wrong(
                "an address without a path, like https://ops.example.org: the portal is served at its root"
            )
        return address


def host_of(address: str) -> str:
    """Host of an address, as browsers name it: an IPv6 address in brackets."""
    name = urlsplit(address).hostname or ""
    return f"[{name}]" if ":" in name else name


@dataclass(frozen=True)
class Secret(Variable):
    """Text that is also read from a file named by NAME_FILE; `portal.environment` reads it."""

    kind = "secret, or its file in `…_FILE`"


@dataclass(frozen=True)
class Number(Variable):
    """A whole number, none below zero."""

    default: int = 0
    kind = "whole number"

    def read(self) -> int:
        """Its value or the default. Raises ImproperlyConfigured."""
        if self.text and not (self.text.isascii() and self.text.isdecimal()):
            raise self.wrong("a whole number")
        return int(self.text or self.default)


@dataclass(frozen=True)
class Switch(Variable):
    """On or off, in any of the usual words."""

    default: bool = False
    kind = "on or off"

    def read(self) -> bool:
        """Its value or the default. Raises ImproperlyConfigured."""
        if not self.text:
            return self.default
        if self.text.lower() not in TRUE | FALSE:
            raise self.wrong("on or off")
        return self.text.lower() in TRUE


@dataclass(frozen=True)
class Names(Variable):
    """Several, separated by commas."""

    default: tuple[str, ...] = ()
    kind = "names, separated by commas"

    def read(self) -> list[str]:
        """Its values or the default."""
        return [part.strip() for part in self.text.split(",") if part.strip()] or list(self.default)


@dataclass(frozen=True)
class IPAddresses(Names):
    """Several, each in the one way that it is compared in."""

    kind = "IP addresses, separated by commas"

    def read(self) -> list[str]:
        """Its values or the default. Raises ImproperlyConfigured."""
        try:
            return [str(ipaddress.ip_address(part)) for part in super().read()]
        except ValueError as error:
            raise self.wrong("IP addresses, separated by commas") from error


STATE_DIR = Text(
    "PORTAL_STATE_DIR",
    "where everything lies that the portal writes: database, artifacts, keys, backups",
    shown="`.state` in the tree; `~/.local/state/cytube-ops` where pip installed the portal",
)
URL = Origin(
    "PORTAL_URL",
    "the address people and links use, to whose host it answers; with `https://` cookies and redirects become strict",
    "http://127.0.0.1:8080",
)
ALLOWED_HOSTS = Names(
    "PORTAL_ALLOWED_HOSTS",
    "host names it answers to besides",
    ("localhost", "127.0.0.1", "[::1]"),
    shown="this machine",
)
PROXIES = IPAddresses(
    "PORTAL_PROXIES",
    "proxies on other machines, whose word (`X-Forwarded-For`) for a visitor's address counts; one on this machine is "
    "believed anyway",
    shown="none",
)
SECRET_KEY = Secret("PORTAL_SECRET_KEY", "signs sessions and tasks", shown="made once")
ENCRYPTION_KEYS = Secret(
    "PORTAL_ENCRYPTION_KEYS",
    "Fernet keys for stored secrets, newest first, separated by commas. Whoever loses them loses every stored secret",
    shown="made once",
)
DATABASE_URL = Secret(
    "DATABASE_URL", "`postgres://user:password@host/name` for PostgreSQL", shown="SQLite in the state directory"
)
PROMETHEUS_URL = Address(
    "PROMETHEUS_URL", "where the readiness page asks, and where links lead; none: nobody is asked", shown="none"
)
ALERTMANAGER_URL = Address(
    "ALERTMANAGER_URL", "where silences and drills go; none: nobody is asked, and nothing is sent", shown="none"
)
PING_URL = Secret(
    "PORTAL_PING_URL",
    "gets a POST every minute while monitoring is heard; for a service outside that notices when the machine is gone",
    shown="none",
)
GITHUB_ISSUER = Address(
    "PORTAL_GITHUB_ISSUER",
    "who signs the identity of workflows; another one for GitHub Enterprise Server",
    "https://token.actions.githubusercontent.com",
)
OIDC_ISSUER = Address(
    "PORTAL_OIDC_ISSUER", "who signs people in by OpenID Connect, beside password and passkey", shown="nobody"
)
OIDC_CLIENT_ID = Text("PORTAL_OIDC_CLIENT_ID", "what the portal is called there", shown="none")
OIDC_CLIENT_SECRET = Secret(
    "PORTAL_OIDC_CLIENT_SECRET", "what it proves that with; none for a public client", shown="none"
)
DRILLS = Switch("PORTAL_DRILLS", "off: the portal holds no drills by itself", True)
BACKUP_DIR = Text(
    "PORTAL_BACKUP_DIR",
    "where `backup` writes and `drill restore` looks",
    shown="`backups` in the state directory",
)
BACKUP_KEEP = Number("PORTAL_BACKUP_KEEP", "how many backups stay there", 14)
KEEP_RELEASES = Number(
    "PORTAL_KEEP_RELEASES",
    "how many of the newest releases of each application keep their artifact, besides those that something needs",
    100,
)
KEEP_LOG_DAYS = Number("PORTAL_KEEP_LOG_DAYS", "how many days logs of deployments and sent notifications stay", 400)
BACKUP_PASSPHRASE = Secret("PORTAL_BACKUP_PASSPHRASE", "opens backups; at least 12 characters", shown="none")
TOKEN = Secret("PORTAL_TOKEN", "who acts on the command line", shown="none")
DEBUG = Switch("PORTAL_DEBUG", "Django's debug pages. Never on a portal that others reach")

ALL: tuple[Variable, ...] = (
    STATE_DIR,
    URL,
    ALLOWED_HOSTS,
    PROXIES,
    SECRET_KEY,
    ENCRYPTION_KEYS,
    DATABASE_URL,
    PROMETHEUS_URL,
    ALERTMANAGER_URL,
    PING_URL,
    GITHUB_ISSUER,
    OIDC_ISSUER,
    OIDC_CLIENT_ID,
    OIDC_CLIENT_SECRET,
    DRILLS,
    BACKUP_DIR,
    BACKUP_KEEP,
    KEEP_RELEASES,
    KEEP_LOG_DAYS,
    BACKUP_PASSPHRASE,
    TOKEN,
    DEBUG,
)


def page() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings of the portal",
        "",
        "Environment variables. Without any of them the portal runs on embedded defaults, for one machine. A value of",
        "the wrong kind ends the start with a sentence. This page is written by `python -m portal.variables`.",
        "",
        "| variable | value | default | meaning |",
        "|---|---|---|---|",
    ]
    for one in ALL:
        names = f"`{one.name}`, `{one.name}_FILE`" if isinstance(one, Secret) else f"`{one.name}`"
        lines.append(f"| {names} | {one.kind} | {one.shown or _default(one)} | {one.meaning} |")
    return "\n".join(lines) + "\n"


def _default(one: Variable) -> str:
    value = getattr(one, "default", "")
    return ("on" if value else "off") if isinstance(value, bool) else f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(page())
