"""The organisation that the tests of the control plane live in."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache

from deployments.models import Environment, Server
from engine.artifacts.artifact import Artifact, build_artifact
from engine.artifacts.wheels import DirectoryWheels
from tests.deployments.world import PEOPLE, World
from tests.fixtures.records import EXAMPLE, MakePerson, stored


@pytest.fixture(autouse=True)
def quick(settings: Any) -> None:
    """A directory of static files, which WhiteNoise asks for."""
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> list[Artifact]:
    """The example bot as 1.0.0 and 1.1.0, which says more; built once."""
    built = []
    for version in ("1.0.0", "1.1.0"):
        tree = tmp_path_factory.mktemp("source") / "tree"
        shutil.copytree(EXAMPLE, tree)
        (tree / "VERSION").write_text(f"{version}\n")
        program = tree / "dicebot" / "__main__.py"
        program.write_text(f"{program.read_text()}\n# this is {version}\n")
        built.append(build_artifact(tree, None, DirectoryWheels(tree), tmp_path_factory.mktemp("built")))
    return built


@pytest.fixture
def world(
    quick: None,
    db: None,
    state_dir: Path,
    artifacts: list[Artifact],
    make_person: MakePerson,
    ready_server: Callable[[Environment], Server],
) -> World:
    """Two environments with a server each, two releases, and somebody in every role."""
    cache.clear()  # rate limits of the API count across tests
    people = {name: make_person(name, *roles) for name, roles in PEOPLE.items()}
    people["superuser"] = make_person("superuser", superuser=True)
    servers = {name: ready_server(Environment.objects.get(name=name)) for name in ("test", "production")}
    return World(people, [stored(each, change_log=f"{each.version}: say more") for each in artifacts], servers)
