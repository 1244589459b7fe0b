"""What a newcomer expects beside the code is there, valid, and true."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.dependabot", [".github/dependabot.yml"]),
        ("vendor.github-issue-forms", [".github/ISSUE_TEMPLATE/fault.yml", ".github/ISSUE_TEMPLATE/wish.yml"]),
        ("vendor.github-issue-config", [".github/ISSUE_TEMPLATE/config.yml"]),
    ],
)
def test_forms_and_settings_fit_the_published_schemas(schema: str, files: list[str]) -> None:
    tool = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [tool, "--builtin-schema", schema, *files], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_hooks_before_a_commit_are_tools_of_our_own_environment() -> None:
    assert [repository["repo"] for repository in HOOKS] == ["local"]
    for hook in HOOKS[0]["hooks"]:
        program = hook["entry"].split()[0]
        assert program.startswith(".venv/bin/"), hook
        assert (ROOT / program).exists(), f"{program} is in no requirements file"


def test_hooks_check_what_make_check_checks() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
    for hook in HOOKS[0]["hooks"]:
        tool = Path(hook["entry"].split()[0]).name
        assert f"$(BIN)/{tool}" in recipe or tool == "zizmor", f"{tool}: make check does not run it"


def test_the_dev_container_makes_what_the_makefile_has() -> None:
    text = re.sub(r"^\s*//.*$", "", (ROOT / ".devcontainer/devcontainer.json").read_text(), flags=re.MULTILINE)
    container = json.loads(text)
    assert set(container["postCreateCommand"].removeprefix("make ").split()) <= makefile_targets()


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_what_contributors_are_told_to_run_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= makefile_targets()
    for path in re.findall(r"\b((?:tests|docs|benchmarks|monitoring)/[\w./-]+\.(?:py|md|yml))", text):
        assert (ROOT / path).exists(), path
