"""The workflow files as such: what linters say, and what they never do."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


MORE = {
    "prod-deploy.yml:through-portal": {"id-token": "write"},
    "test-deploy.yml:through-portal": {"id-token": "write"},
    "release.yml:attest": {"id-token": "write", "attestations": "write"},
    "release.yml:publish": {"contents": "write"},
}
"""What no other job may: showing who it is, signing, and making a release."""


def documents() -> list[tuple[str, dict[str, Any]]]:
    return [(path.name, yaml.safe_load(path.read_text())) for path in WORKFLOWS]


def jobs() -> list[tuple[str, dict[str, Any]]]:
    return [(f"{name}:{key}", job) for name, document in documents() for key, job in document["jobs"].items()]


def tool(name: str, *argv: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / name
    return subprocess.run([program, *argv], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_zizmor_finds_nothing_however_pedantic() -> None:
    done = tool("zizmor", "--offline", "--persona", "pedantic", "--strict-collection", ".github")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings" in done.stdout


def test_every_workflow_fits_the_published_schema() -> None:
    paths = [str(path) for path in WORKFLOWS]
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *paths)
    assert done.returncode == 0, done.stdout


def test_every_deploy_toml_fits_its_schema() -> None:
    files = ["deploy.toml", "tests/data/example-bot/deploy.toml"]
    done = tool("check-jsonschema", "--schemafile", "docs/deploy-toml.schema.json", *files)
    assert done.returncode == 0, done.stdout


def test_there_are_the_workflows_the_documentation_names() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "prod-deploy.yml", "release.yml", "test-deploy.yml"]
    text = (ROOT / "docs/github.md").read_text()
    assert all(f"`{path.name}`" in text for path in WORKFLOWS)


def test_every_action_is_pinned_to_a_commit_and_says_which_version_that_is() -> None:
    lines = [line.strip() for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]
    assert lines
    assert not [line for line in lines if not PINNED.fullmatch(line.removeprefix("- "))]


def test_the_same_action_is_pinned_the_same_everywhere() -> None:
    found = {match for path in WORKFLOWS for match in re.findall(r"uses: (\S+)@(\S+)", path.read_text())}
    assert len({name for name, _ in found}) == len(found)


@pytest.mark.parametrize(("name", "job"), jobs(), ids=[name for name, _ in jobs()])
def test_no_expression_reaches_a_script(name: str, job: dict[str, Any]) -> None:
    assert not [step for step in job["steps"] if "${{" in step.get("run", "")]


@pytest.mark.parametrize(("name", "job"), jobs(), ids=[name for name, _ in jobs()])
def test_every_job_asks_for_what_it_needs_and_ends_in_time(name: str, job: dict[str, Any]) -> None:
    assert job["permissions"]
    granted = {(scope, how) for scope, how in job["permissions"].items() if name not in MORE or scope not in MORE[name]}
    assert granted <= {("contents", "read"), ("actions", "read"), ("deployments", "write")}
    assert {scope: job["permissions"].get(scope) for scope in MORE.get(name, {})} == MORE.get(name, {})
    assert 0 < job["timeout-minutes"] <= 45


@pytest.mark.parametrize(("name", "document"), documents(), ids=[name for name, _ in documents()])
def test_nothing_is_allowed_by_default_and_runs_do_not_overlap(name: str, document: dict[str, Any]) -> None:
    assert document["permissions"] == {}
    assert document["defaults"]["run"]["shell"] == "bash"
    groups = [job.get("concurrency") or document["concurrency"] for job in document["jobs"].values()]
    assert all(group["group"] for group in groups)
    assert all(group["cancel-in-progress"] is (name == "ci.yml") for group in groups)


def test_jobs_that_deploy_to_one_environment_share_a_group_in_every_workflow() -> None:
    found = {name: job["concurrency"]["group"] for name, job in jobs() if "environment" in job}
    assert found == {
        "prod-deploy.yml:through-portal": "deploy-production",
        "prod-deploy.yml:from-runner": "deploy-production",
        "test-deploy.yml:through-portal": "deploy-test",
        "test-deploy.yml:test-from-runner": "deploy-test",
        "test-deploy.yml:production-from-runner": "deploy-production",
    }


@pytest.mark.parametrize(("name", "job"), jobs(), ids=[name for name, _ in jobs()])
def test_secrets_come_from_an_environment_of_the_job_and_only_into_a_steps_variables(
    name: str, job: dict[str, Any]
) -> None:
    used = re.findall(r"secrets\.(\w+)", yaml.safe_dump(job))
    if used:
        assert job["environment"]
        in_steps = [re.findall(r"secrets\.(\w+)", str(step.get("env", {}))) for step in job["steps"]]
        assert sorted(used) == sorted(name for names in in_steps for name in names)


def test_production_from_a_runner_is_in_the_environment_whose_reviewers_are_asked() -> None:
    using = {name: job for name, job in jobs() if "SSH_KEY_PROD" in yaml.safe_dump(job)}
    assert set(using) == {"prod-deploy.yml:from-runner", "test-deploy.yml:production-from-runner"}
    assert all(job["environment"] == "production" for job in using.values())
    assert all(job["permissions"]["actions"] == "read" for job in using.values())


def test_every_secret_and_variable_is_documented() -> None:
    used = {name for path in WORKFLOWS for name in re.findall(r"(?:secrets|vars)\.(\w+)", path.read_text())}
    text = (ROOT / "docs/github.md").read_text()
    assert len(used) == 11  # eight secrets for servers, the portal's token and address, and the mode
    assert {name for name in used if f"`{name}`" not in text} == set()


def test_only_jobs_that_run_nothing_of_the_tree_may_sign_or_publish() -> None:
    for name, job in jobs():
        if name in MORE and name.startswith("release.yml:"):
            assert not [step for step in job["steps"] if "checkout" in step.get("uses", "")]
            assert not [step for step in job["steps"] if re.search(r"python|pip|\bmake\b", step.get("run", ""))]


def test_a_release_is_attested_before_it_is_published_with_its_list_of_parts() -> None:
    release = {name.partition(":")[2]: job for name, job in jobs() if name.startswith("release.yml:")}
    assert release["attest"]["needs"] == "build"
    assert release["publish"]["needs"] == "attest"
    attested = [step["with"] for step in release["attest"]["steps"] if "actions/attest@" in step.get("uses", "")]
    assert attested == [{"subject-path": "dist/*"}, {"subject-path": "dist/*", "sbom-path": "sbom.cdx.json"}]
    assert "sbom.cdx.json" in release["publish"]["steps"][-1]["run"]
    (listed,) = [step["with"]["path"] for step in release["build"]["steps"] if "sbom-action" in step.get("uses", "")]
    built = next(step["run"] for step in release["build"]["steps"] if step.get("name") == "Build")
    copied = re.findall(rf"cp requirements/(\w+)\.txt {listed}/", built)
    assert sorted(copied) == ["base", "bot"], "what is installed where it runs, and nothing that only tests need"


@pytest.mark.parametrize(
    ("tag", "changelog", "said"),
    [
        (
            "v1.2.0",
            "## [Unreleased]\n\n## [1.2.0] - 2026-11-27\n\n### Added\n\n- New.\n\n## [1.1.0] - 2026-11-01\n- Old.\n",
            "",
        ),
        ("v1.2.0", "## [1.2.0] - 2026-11-27\n\n### Added\n\n- New.\n", ""),
        ("v1.3.0", "## [1.3.0] - 2026-11-27\n- New.\n", "the tag is v1.3.0 and VERSION says 1.2.0"),
        ("v1.2.0", "## [Unreleased]\n\n- New.\n", "no section"),
        ("v1.2.0", "## [1.2.0]\n\n- New, and no day.\n", "no section"),
    ],
)
def test_a_release_has_the_notes_of_its_version_or_is_none(tag: str, changelog: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("1.2.0\n")
    (tmp_path / "CHANGELOG.md").write_text(changelog)
    script = [sys.executable, str(ROOT / ".github/release_notes.py"), tag]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    if said:
        assert done.returncode == 2
        assert done.stdout.startswith("::error")
        assert said in done.stdout
    else:
        assert (done.returncode, done.stdout) == (0, "### Added\n\n- New.\n")
