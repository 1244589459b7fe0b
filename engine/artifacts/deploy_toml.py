"""deploy.toml: what a project says about itself so that it can be deployed.

The descriptions of the fields are the hints people read with a mistake, and the JSON schema's documentation.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Literal

from pydantic import Field, ValidationError

from engine.artifacts import crosschecks, validation_messages
from engine.artifacts.backups import Backups, Dump
from engine.artifacts.crosschecks import DEFAULT_TIMEOUT, DEFAULT_VERIFY, DEFAULT_WATCH
from engine.artifacts.errors import BadDeployToml
from engine.artifacts.formats import format_of
from engine.artifacts.hooks import Hook, Hooks
from engine.artifacts.problems import Problem, counted, key_path
from engine.artifacts.toml_input import read_toml
from engine.artifacts.values import (
    ROLES,
    ConfigName,
    DottedKey,
    EnvironmentName,
    Name,
    Port,
    RoleName,
    Seconds,
    SecretName,
    Table,
    Text,
    TreePath,
    UnitPath,
    WatchSeconds,
)

FILE = "deploy.toml"


class Health(Table):
    """How a server asks a role whether it is healthy."""

    url: str = Field(
        pattern=r"^http://(127\.0\.0\.1|localhost):(\{port\}|[0-9]{1,5})(/[!-~]*)?$",
        description="Where the server itself asks, for example 'http://127.0.0.1:{port}/api/health'; {port} is the "
        "port of the role in the environment.",
    )
    version: DottedKey = Field(
        default="version",
        description="The field of the JSON answer that must equal the VERSION file, for example 'version'.",
    )
    connected: DottedKey | None = Field(
        default=None,
        description="A field of the JSON answer that must be true once the role does its work, for example "
        "'connected'. Leave it out if there is none.",
    )
    samples: int = Field(
        default=3, strict=True, ge=1, le=100, description="How many healthy answers in a row are wanted, 1 to 100."
    )
    interval: Seconds = Field(default=0.1, description="Seconds between two samples, a number above 0.")
    timeout: Seconds = Field(
        default=DEFAULT_TIMEOUT, description="Seconds within which the samples must have been seen, a number above 0."
    )


class Role(Table):
    """What one role of a server runs and needs."""

    units: tuple[UnitPath, ...] = Field(
        default=(),
        description="Paths of systemd unit files in the tree, in the order they are restarted, for example "
        "['systemd/my-bot.service'].",
    )
    lock: TreePath | None = Field(
        default=None,
        description="Path of the requirements file with hashes, for example 'requirements.txt', or of a uv.lock or "
        "poetry.lock. Leave it out if the role needs no packages.",
    )
    check: tuple[Text, ...] = Field(
        default=(),
        description="A command as a list of words, run on the server before activation; it must end with 0. "
        "{release}, {config} and {data} stand for directories on the server.",
    )
    login: tuple[Text, ...] = Field(
        default=(),
        description="A command as a list of words that signs in with the secrets and leaves, for `set_secret --try`; "
        "0 says that they are good. The placeholders of check, and $CREDENTIALS_DIRECTORY.",
    )
    secrets: tuple[SecretName, ...] = Field(
        default=(),
        description="Secrets it needs, delivered by set_secret: lower-case letters, digits, dashes: ['my-password'].",
    )
    databases: tuple[TreePath, ...] = Field(
        default=(),
        description="SQLite files below the data directory, copied before each activation, for example ['bot.db'].",
    )
    dumps: dict[SecretName, Dump] = Field(
        default_factory=dict,
        description="Databases that are no files, dumped before each activation: a table each, [roles.bot.dumps.main].",
    )
    identity: tuple[DottedKey, ...] = Field(
        default=(),
        description="Dotted keys of identity_file that make an account unique, for example ['domain', 'user.name']: "
        "two servers with the same values are refused.",
    )
    identity_file: ConfigName | None = Field(
        default=None, description="The rendered configuration file that holds the identity, for example 'bot.json'."
    )
    health: Health | None = Field(default=None, description="How to ask whether the role is healthy; see Health.")
    watch: WatchSeconds = Field(
        default=DEFAULT_WATCH,
        description="Seconds, 1 to 600, that each unit is watched: a restart, an end, an error takes the release back.",
    )
    watch_units: dict[Text, WatchSeconds] = Field(
        default_factory=dict,
        description="Other seconds for single units by their names, for example {'worker.service' = 60}.",
    )
    ports: tuple[Port, ...] = Field(
        default=(), description="TCP ports open to everybody, e.g. [8443]. That of `health` is not, unless named here."
    )

    def watched(self) -> dict[str, float]:
        """How many seconds each unit is watched, by its name."""
        return {name: self.watch_units.get(name, self.watch) for name in (u.rpartition("/")[2] for u in self.units)}


class EnvironmentRole(Table):
    """What differs for a role in one environment."""

    port: Port | None = Field(
        default=None, description="The port of the role's health URL here, a whole number from 1 to 65535."
    )


class Environment(Table):
    """What differs in one environment."""

    roles: dict[RoleName, EnvironmentRole] = Field(
        default_factory=dict, description="One table per role, for example [environments.test.roles.bot] port = 8001."
    )
    config: dict[ConfigName, TreePath] = Field(
        default_factory=dict,
        description="Configuration files by name (letters, digits, dots, dashes), each with the path of its template "
        'in the tree, for example "bot.json" = "config/test.json".',
    )


class Deadlines(Table):
    """How many seconds each step may take on a server."""

    preflight: Seconds = Field(default=15.0, description="Seconds for the checks that change nothing.")
    stage: Seconds = Field(default=120.0, description="Seconds for sending and checking the files.")
    dependencies: Seconds = Field(default=180.0, description="Seconds for installing the lock and running `check`.")
    backup: Seconds = Field(default=60.0, description="Seconds for copying the databases.")
    activate: Seconds = Field(default=10.0, description="Seconds for switching to the release.")
    restart: Seconds = Field(default=40.0, description="Seconds for restarting the units.")
    verify: Seconds = Field(default=DEFAULT_VERIFY, description="Seconds for the proof that the release works.")


class DeployToml(Table):
    """What a project says about itself so that it can be deployed."""

    name: Name = Field(
        description="2 to 31 lower-case letters, digits and dashes, a letter first: /opt/<name> and its account.",
    )
    python: str = Field(
        pattern=r"^3\.(1[1-9]|[2-9][0-9])$",
        description="The servers' Python, in quotes, '3.11' or newer: the oldest that is accepted, and the one wheels "
        "are fetched for.",
    )
    architecture: Literal["x86_64", "aarch64"] = Field(
        default="x86_64",
        description="The servers' architecture, as `uname -m` says it: the one wheels are fetched for.",
    )
    include: tuple[TreePath, ...] = Field(
        default=("**",),
        min_length=1,
        description="Paths and globs of the files that form a release; a directory stands for all below it.",
    )
    exclude: tuple[TreePath, ...] = Field(
        default=(), description="Paths and globs that are left out of a release although `include` covers them."
    )
    keep: int = Field(
        default=5,
        strict=True,
        ge=1,
        le=100,
        description="How many releases a server keeps besides the current one and the one to roll back to, 1 to 100.",
    )
    roles: dict[RoleName, Role] = Field(
        min_length=1, description="One table per role, [roles.bot], [roles.portal] or [roles.monitoring]; at least one."
    )
    environments: dict[EnvironmentName, Environment] = Field(
        min_length=1,
        description="One table per environment, for example [environments.test]; at least one. A name has lower-case "
        "letters, digits and dashes, a letter first.",
    )
    deadlines: Deadlines = Field(default_factory=Deadlines, description="Seconds per step; each has a default.")
    backups: Backups = Field(default_factory=Backups, description="How long backups are kept; see Backups.")
    hooks: Hooks = Field(default_factory=Hooks, description="Commands that a deployment runs; see Hooks.")
    config_schema: TreePath | dict[ConfigName, TreePath] | None = Field(
        default=None,
        alias="schema",
        description="Path of the JSON Schema of the configuration files, for example 'config.schema.json', or a table "
        "of paths by the files' names.",
    )

    def hooks_in_order(self) -> list[tuple[str, RoleName, Hook]]:
        """Every hook with its moment and the role that runs it."""
        first = next(iter(self.roles))
        return [(moment, hook.role or first, hook) for moment, hook in self.hooks if hook is not None]

    def schema_of(self, name: str) -> str | None:
        """The path of the schema of a configuration file; None without one. A single path is that of all with keys."""
        if isinstance(self.config_schema, dict):
            return next((path for file, path in self.config_schema.items() if file == name), None)
        return self.config_schema if format_of(name) else None

    def locks(self, roles: Collection[str] = ROLES) -> tuple[str, ...]:
        """The paths of the locks that any of these roles uses, sorted."""
        return tuple(sorted({role.lock for name, role in self.roles.items() if role.lock and name in roles}))

    def named_files(self) -> dict[str, str]:
        """Every file that deploy.toml names, with the key that names it: units, locks, templates."""
        named: dict[str, str] = {}
        for role_name, role in self.roles.items():
            named |= dict.fromkeys(role.units, f"roles.{role_name}.units")
            if role.lock:
                named[role.lock] = f"roles.{role_name}.lock"
        for environment_name, environment in self.environments.items():
            for name, template in environment.config.items():
                named[template] = key_path(["environments", environment_name, "config", name])
        schemas = self.config_schema.values() if isinstance(self.config_schema, dict) else [self.config_schema]
        return named | {path: "schema" for path in schemas if path}

    def health(self, environment: str, role: str) -> Health | None:
        """The health check of a role with the environment's port filled in; None if the role has none.

        Raises BadDeployToml for an environment or role that deploy.toml does not have.
        """
        health = self.role(role).health
        if health is None:
            return None
        settings = {str(name): value for name, value in self.environment(environment).roles.items()}.get(role)
        port = settings.port if settings else None
        return health.model_copy(update={"url": health.url.replace("{port}", str(port))})

    def environment(self, name: str) -> Environment:
        """What deploy.toml says about an environment. Raises BadDeployToml when it does not have it."""
        if name in self.environments:
            return self.environments[name]
        raise BadDeployToml(
            f"deploy.toml has no environment {name!r}, only {_listed(self.environments)}.",
            hint=f"Add [environments.{name}] to it and build a new release.",
        )

    def role(self, name: str) -> Role:
        """What deploy.toml says about a role. Raises BadDeployToml when it does not have it."""
        for role_name, role in self.roles.items():
            if role_name == name:
                return role
        raise BadDeployToml(
            f"deploy.toml has no role {name!r}, only {_listed(self.roles)}.",
            hint=f"Add [roles.{name}] to it and build a new release, or take the role off the server.",
        )


@lru_cache(maxsize=8)
def parse_deploy_toml(content: bytes) -> DeployToml:
    """The parsed file; equal bytes are the same value. Raises BadDeployToml with every mistake in `problems`."""
    deploy, problems = examine(content)
    if deploy is None:
        lines = "\n".join(f"- {problem}" for problem in problems)
        raise BadDeployToml(f"{FILE} has {counted(problems)}:\n{lines}", problems=problems)
    return deploy


def examine(content: bytes) -> tuple[DeployToml | None, list[Problem]]:
    """The parsed file, or None and every mistake."""
    try:
        raw = read_toml(content.decode())
    except (ValueError, RecursionError) as error:
        hint = "See https://toml.io for how tables, texts in quotes and lists are written."
        return None, [Problem(FILE, f"is not valid TOML: {error}", hint)]
    deploy, problems = None, []
    try:
        deploy = DeployToml.model_validate(raw)
    except ValidationError as error:
        problems = validation_messages.explain(error, DeployToml)
    problems += crosschecks.problems(raw)
    return (None if problems else deploy), problems


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
