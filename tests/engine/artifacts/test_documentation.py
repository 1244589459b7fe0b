"""docs/deploy-toml.md and its schema say everything, and only what is true."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.artifacts import deploy_toml_schema, errors
from engine.artifacts.backups import Backups, Dump
from engine.artifacts.deploy_toml import Deadlines, DeployToml, Environment, Health, Role, parse_deploy_toml
from engine.artifacts.hooks import Hooks, UndoableHook
from tests.engine.artifacts.projects import DEPLOY_TOML

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/deploy-toml.md").read_text()
SCHEMA = ROOT / "docs/deploy-toml.schema.json"


def refusals(kind: type[errors.PlanError] = errors.PlanError) -> Iterator[type[errors.PlanError]]:
    for child in kind.__subclasses__():
        yield child
        yield from refusals(child)


@pytest.mark.parametrize("table", [DeployToml, Role, Health, Deadlines, Hooks, UndoableHook, Backups, Dump])
def test_every_key_is_on_the_page_with_its_default(table: type[Any]) -> None:
    for attribute, field in table.model_fields.items():
        name = field.alias or attribute
        if name in {"roles", "environments", "deadlines", "health", "hooks", "backups", *Hooks.model_fields}:
            assert f"[{name}" in PAGE or f".{name}]" in PAGE
            continue
        row = re.search(rf"^\| [^|]*`{name}`[^|]*\|([^|]*)\|", PAGE, re.MULTILINE)
        assert row, f"{name} has no row"
        if table is not Role and field.default not in {None, ()} and not field.is_required():
            shown = json.dumps(list(field.default) if isinstance(field.default, tuple) else field.default)
            assert row[1].strip().strip("`") == shown.removesuffix(".0"), (
                f"{name}: the page shows {row[1]}, not {shown}"
            )


def test_every_key_says_in_one_sentence_what_is_wanted() -> None:
    for table in (DeployToml, Role, Health, Deadlines, Environment, Hooks, UndoableHook, Backups, Dump):
        for name, field in table.model_fields.items():
            assert (field.description or "").endswith("."), f"{table.__name__}.{name} has no hint for its mistakes"


def test_every_refusal_is_on_the_page_and_in_the_drawing() -> None:
    tabled = re.findall(
        r"^\| `([a-z_]+)` \| [^|]+ \| [^|]+ \|$", PAGE.partition("## When it is refused")[2], re.MULTILINE
    )
    drawn = dict(re.findall(r"[├└]── (\w+) +([a-z_]+)  ", errors.__doc__ or ""))
    known = {kind.__name__: kind.reason for kind in refusals()}
    assert drawn == known
    assert sorted(tabled) == sorted(set(known.values()) - {"source_refused"})
    assert len(set(known.values())) == len(known)


def test_the_example_on_the_page_is_accepted() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert parse_deploy_toml(example.encode()).name == "dice-bot"


def test_the_unit_on_the_page_is_that_of_the_example_bot() -> None:
    (unit,) = re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)
    wanted = [line for line in unit.splitlines() if line]
    shipped = (ROOT / "tests/data/example-bot/systemd/dice-bot.service").read_text().splitlines()
    assert [line for line in wanted if line not in shipped] == []


def test_the_schema_is_not_stale() -> None:
    message = "run: python -m engine.artifacts.deploy_toml_schema docs/deploy-toml.schema.json"
    assert SCHEMA.read_text() == deploy_toml_schema.text(), message


def check_jsonschema(path: Path) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(SCHEMA), str(path)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("project", [ROOT, ROOT / "tests/data/example-bot"], ids=["ours", "example-bot"])
def test_the_schema_accepts_our_projects(project: Path) -> None:
    done = check_jsonschema(project / "deploy.toml")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "tea-bot"', ""),
        ('name = "tea-bot"', 'name = "Tea"'),
        ('python = "3.11"', "python = 3.11"),
        ("port = 8001", "port = 0"),
        ("port = 8001", "prot = 8001"),
        ("[roles.bot]", "[roles.bots]"),
        ('lock = "requirements.txt"', 'lock = "../requirements.txt"'),
        ('lock = "requirements.txt"', 'lock = "/requirements.txt"'),
        ('"tea.json"', '"../tea.json"'),
        ("http://127.0.0.1", "https://example.org"),
    ],
)
def test_the_schema_refuses_what_the_parser_refuses(tmp_path: Path, old: str, new: str) -> None:
    changed = DEPLOY_TOML.replace(old, new)
    assert changed != DEPLOY_TOML
    tomllib.loads(changed)
    with pytest.raises(errors.BadDeployToml):
        parse_deploy_toml(changed.encode())
    (tmp_path / "deploy.toml").write_text(changed)
    assert check_jsonschema(tmp_path / "deploy.toml").returncode == 1
