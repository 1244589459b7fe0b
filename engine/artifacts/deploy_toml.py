"""deploy.toml: what a project says about itself so that it can be deployed.

The descriptions of the fields are the hints people read with a mistake, and the JSON schema's documentation.
"""

import tomllib
from collections.abc import Collection
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from engine.artifacts import crosschecks, mistakes
from engine.artifacts.crosschecks import DEFAULT_TIMEOUT, DEFAULT_VERIFY, DEFAULT_WATCH
from engine.artifacts.errors import BadDeployToml
from engine.artifacts.paths import why_unsafe
from engine.artifacts.problems import Problem, counted, key_path
from engine.host.provision.debian import takes_name

FILE = "deploy.toml"

RoleName = Literal["bot", "portal", "monitoring"]
ROLES: tuple[str, ...] = get_args(RoleName)


def _inside(path: str) -> str:
    unsafe = why_unsafe(path)
    if unsafe:
        raise PydanticCustomError("path_escapes", "{path} {unsafe}", {"path": repr(path), "unsafe": unsafe})
    return path


def _one_of_a_kind(path: object) -> object:
    if isinstance(path, str) and "@" in path.rpartition("/")[2]:
        message = "it is a template or an instance of one; write one unit file per instance, without @"
        raise PydanticCustomError("template_unit", message)
    return path


def _not_taken(name: str) -> str:
    if takes_name(name):
        message = "an account, a directory or a firewall table of Debian's or of a well-known package has that name"
        raise PydanticCustomError("name_taken", message)
    return name


_NO_ESCAPE: dict[str, object] = {"not": {"pattern": r"^/|(^|/)\.{0,2}(/|$)"}}

Text = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
TreePath = Annotated[str, AfterValidator(_inside), Field(min_length=1, json_schema_extra=_NO_ESCAPE)]
UnitPath = Annotated[
    TreePath,
    StringConstraints(pattern=r"^(.*/)?[A-Za-z0-9][A-Za-z0-9_.-]*\.(service|socket|timer|path|target)$"),
    BeforeValidator(_one_of_a_kind),
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,30}$"), AfterValidator(_not_taken)]
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
ConfigName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
DottedKey = Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)*$")]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Seconds = Annotated[float, Field(strict=True, gt=0, le=3600)]
WatchSeconds = Annotated[float, Field(strict=True, ge=1, le=600)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=False)


class Health(_Table):
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


class Role(_Table):
    """What one role of a server runs and needs."""

    units: tuple[UnitPath, ...] = Field(
        default=(),
        description="Paths of systemd unit files in the tree, in the order they are restarted, for example "
        "['systemd/my-bot.service'].",
    )
    lock: TreePath | None = Field(
        default=None,
        description="Path of the requirements file with hashes, for example 'requirements.txt'. Leave it out if the "
        "role needs no packages.",
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


class EnvironmentRole(_Table):
    """What differs for a role in one environment."""

    port: Port | None = Field(
        default=None, description="The port of the role's health URL here, a whole number from 1 to 65535."
    )


class Environment(_Table):
    """What differs in one environment."""

    roles: dict[RoleName, EnvironmentRole] = Field(
        default_factory=dict, description="One table per role, for example [environments.test.roles.bot] port = 8001."
    )
    config: dict[ConfigName, TreePath] = Field(
        default_factory=dict,
        description="Configuration files by name (letters, digits, dots, dashes), each with the path of its template "
        'in the tree, for example "bot.json" = "config/test.json".',
    )


class Deadlines(_Table):
    """How many seconds each step may take on a server."""

    preflight: Seconds = Field(default=15.0, description="Seconds for the checks that change nothing.")
    stage: Seconds = Field(default=120.0, description="Seconds for sending and checking the files.")
    dependencies: Seconds = Field(default=180.0, description="Seconds for installing the lock and running `check`.")
    backup: Seconds = Field(default=60.0, description="Seconds for copying the databases.")
    activate: Seconds = Field(default=10.0, description="Seconds for switching to the release.")
    restart: Seconds = Field(default=40.0, description="Seconds for restarting the units.")
    verify: Seconds = Field(default=DEFAULT_VERIFY, description="Seconds for the proof that the release works.")


class DeployToml(_Table):
    """What a project says about itself so that it can be deployed."""

    name: Name = Field(
        description="2 to 31 lower-case letters, digits and dashes, a letter first: /opt/<name> and its account.",
    )
    python: str = Field(
        pattern=r"^3\.(1[1-9]|[2-9][0-9])$",
        description="The servers' Python, in quotes, '3.11' or newer: the oldest that is accepted, and the one wheels "
        "are fetched for.",
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
        return named

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


def parse_deploy_toml(content: bytes) -> DeployToml:
    """The parsed file. Raises BadDeployToml with every mistake in `problems`."""
    deploy, problems = examine(content)
    if deploy is None:
        lines = "\n".join(f"- {problem}" for problem in problems)
        raise BadDeployToml(f"{FILE} has {counted(problems)}:\n{lines}", problems=problems)
    return deploy


def examine(content: bytes) -> tuple[DeployToml | None, list[Problem]]:
    """The parsed file, or None and every mistake."""
    try:
        raw = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        hint = "See https://toml.io for how tables, texts in quotes and lists are written."
        return None, [Problem(FILE, f"is not valid TOML: {error}", hint)]
    deploy, problems = None, []
    try:
        deploy = DeployToml.model_validate(raw)
    except ValidationError as error:
        problems = mistakes.explain(error, DeployToml)
    problems += crosschecks.problems(raw)
    return (None if problems else deploy), problems


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
