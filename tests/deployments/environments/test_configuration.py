"""An application's own schema: asked when values are written, when a release is built, and when one is requested."""

import json
from pathlib import Path

import pytest

from deployments.environments.settings import configure_environment
from deployments.models import Deployment, Environment, Release
from deployments.releases.builds import build_release
from deployments.requests.requests import request_deployment
from engine.artifacts.check import check_deploy_toml
from engine.artifacts.errors import BadConfiguration
from tests.deployments.world import World
from tests.engine.artifacts.projects import DEPLOY_TOML, project

SCHEMA = {
    "type": "object",
    "required": ["leaves"],
    "additionalProperties": False,
    "properties": {"leaves": {"type": "integer"}, "water": {"type": ["string", "number"]}},
}
WITH_SCHEMA = DEPLOY_TOML.replace('"tea.json" = "config/test.json"', '"tea.yaml" = "config/test.yaml"').replace(
    'include = ["tea"]\n', 'include = ["tea"]\nschema = "config.schema.json"\n'
)


def source(root: Path, **changed: str) -> Path:
    files = {"deploy.toml": WITH_SCHEMA, "config.schema.json": json.dumps(SCHEMA), "config/test.yaml": "leaves: 3\n"}
    return project(root, files | changed)


@pytest.fixture
def tea(world: World, tmp_path: Path) -> Environment:
    """An environment whose newest release brings a schema."""
    build_release(actor=world.people["administrator"], source=source(tmp_path / "tea"), ref=None)
    world.servers["test"].delete()
    return world.test


def test_values_that_the_schema_refuses_are_never_written(world: World, tea: Environment) -> None:
    administrator = world.people["administrator"]
    for wrong in ({"leaves": "many"}, {"leafs": 3}, {"leaves": None}):
        with pytest.raises(BadConfiguration, match=r"lea[vf]"):
            configure_environment(actor=administrator, environment=tea, changes={"configuration": {"tea.yaml": wrong}})
    assert world.test.configuration == {}
    good = {"tea.yaml": {"leaves": 4, "water": 95}}
    configure_environment(actor=administrator, environment=tea, changes={"configuration": good})
    assert world.test.configuration == good


def test_values_of_before_the_schema_are_refused_before_anything_is_requested(world: World, tea: Environment) -> None:
    Environment.objects.filter(pk=tea.pk).update(configuration={"tea.yaml": {"leaves": "many"}})
    release = Release.objects.get(name="tea-bot")
    with pytest.raises(BadConfiguration, match=r"tea\.yaml: leaves: .*integer"):
        request_deployment(actor=world.people["operator"], release=release, environment=world.test)
    assert not Deployment.objects.exists()
    configure_environment(
        actor=world.people["administrator"], environment=world.test, changes={"bake_seconds": 60}
    )  # what is not about the configuration can be changed meanwhile


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"config.schema.json": "{"}, "schema cannot be used"),
        ({"config.schema.json": '{"$ref": "https://example.org/x"}'}, "outside the release"),
        ({"config/test.yaml": "leaves: many\n"}, "leaves"),
        ({"config/test.yaml": "leafs: 3\n"}, "knows no leafs"),
        ({"deploy.toml": WITH_SCHEMA.replace("config.schema.json", "gone.json")}, "'gone.json' is not in the tree"),
    ],
)
def test_a_project_with_a_schema_that_does_not_fit_is_told(tmp_path: Path, changed: dict[str, str], words: str) -> None:
    assert check_deploy_toml(source(tmp_path / "good")) == []
    told = " ".join(map(str, check_deploy_toml(source(tmp_path / "bad", **changed))))
    assert words in told


def test_what_a_schema_requires_may_be_missing_in_a_template(tmp_path: Path) -> None:
    assert check_deploy_toml(source(tmp_path, **{"config/test.yaml": "water: hot\n"})) == []
