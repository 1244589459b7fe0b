"""An environment of servers played from a script, and a bot of one unit that is deployed to them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.core.actors import Actor
from deployments.execution.run import execute
from deployments.models import Deployment, Environment, Release, Server
from deployments.requests.requests import request_deployment
from engine.artifacts.artifact import build_artifact
from engine.artifacts.wheels import DirectoryWheels
from engine.ssh.keys import generate_key
from tests.engine.artifacts.projects import DEPLOY_TOML, project
from tests.fixtures.records import MakePerson, stored
from tests.fixtures.scripted_server import ScriptedHost

UNIT, NAME = "tea.service", "tea-bot"
PLAIN = DEPLOY_TOML.replace('lock = "requirements.txt"\n', "").partition("[roles.bot.health]")[0]
CONFIGURED = PLAIN + '[environments.test.config]\n"tea.json" = "config/test.json"\n'


@dataclass
class Scene:
    """Two servers, two releases, and somebody who deploys."""

    home: Environment
    hosts: dict[str, ScriptedHost]
    releases: list[Release]
    actor: Actor
    directory: Path

    def add(self, *names: str) -> None:
        """More servers that run nothing yet."""
        for name in names:
            (self.directory / name).mkdir()
            host = self.hosts[name] = ScriptedHost(self.directory / name, NAME, (UNIT,))
            Server.objects.create(
                name=name,
                environment=self.home,
                host="127.0.0.1",
                port=host.port,
                roles=["bot"],
                host_key=host.host_key,
                fingerprint="SHA256:" + "a" * 43,
                state=Server.State.PROVISIONED,
            )

    def ask(self, release: int = 0) -> Deployment:
        """A request of one of the releases."""
        return request_deployment(actor=self.actor, release=self.releases[release], environment=self.home)

    def deploy(self, release: int = 0) -> Deployment:
        """Carried out to its end."""
        row = self.ask(release)
        execute(row.pk)
        row.refresh_from_db()
        return row

    def runs(self) -> dict[str, str | None]:
        """The version that is live on each server."""
        return {name: host.current.partition("-")[0] if host.current else None for name, host in self.hosts.items()}

    def close(self) -> None:
        """No server answers any more."""
        for host in self.hosts.values():
            host.close()


def two_releases(directory: Path) -> list[Release]:
    """Two versions of the bot, built in this directory."""
    made = []
    for version in ("1.0.0", "2.0.0"):
        changed = {"deploy.toml": CONFIGURED, "VERSION": f"{version}\n", "tea/version.py": f"V = {version!r}\n"}
        tree, into = directory / f"tea-{version}", directory / f"built-{version}"
        tree.mkdir()
        into.mkdir()
        project(tree, changed)
        made.append(stored(build_artifact(tree, None, DirectoryWheels(tree), into)))
    return made


def home_with_key() -> Environment:
    """The environment "test", which can sign in to servers."""
    private, public = generate_key()
    home = Environment.objects.get(name="test")
    Environment.objects.filter(pk=home.pk).update(private_key=private, public_key=public)
    home.refresh_from_db()
    return home


@pytest.fixture
def releases(db: None, state_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Release]:
    return two_releases(tmp_path_factory.mktemp("tea"))


@pytest.fixture
def scene(transactional_db: None, releases: list[Release], make_person: MakePerson, tmp_path: Path) -> Iterator[Scene]:
    """The environment "test" with two servers that run nothing yet."""
    scene = Scene(home_with_key(), {}, releases, make_person("olga", "operator"), tmp_path)
    scene.add("one", "two")
    yield scene
    scene.close()
