"""Running the jobs of a workflow on this machine: the `run:` blocks unchanged, by the shell GitHub uses for them.

Actions are stood in for by what they do for us: a checkout, Python on the PATH, an artifact put away and fetched. A job
gets the secrets of the environment it names and no others.
"""

import os
import shutil
import subprocess
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.workflows.expressions import condition, interpolate

KEPT = ("HOME", "LANG", "LC_ALL", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME")
TOKEN = "ghs_a_token_of_this_job_alone"
RUN_ID = "16790000001"
REPOSITORY = "octo-org/octo-repo"
DEADLINE = 300.0


@dataclass
class StepResult:
    """What a `run:` block did."""

    name: str
    code: int
    output: str


@dataclass
class JobResult:
    """What a job did. `left` are the files it left in its directories for temporary things."""

    name: str
    status: str
    steps: list[StepResult] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    left: list[Path] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code of the last step that ran."""
        return self.steps[-1].code

    @property
    def output(self) -> str:
        """Everything it printed."""
        return "\n".join(step.output for step in self.steps)


@dataclass
class Event:
    """What started the run: a push of a branch or tag, or somebody with inputs."""

    ref_name: str = "main"
    inputs: Mapping[str, str] = field(default_factory=dict)
    message: str = ""


@dataclass
class Runner:
    """A stand-in for GitHub's runner. `secrets` by environment."""

    repository: Path
    work: Path
    python: Path
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    api_url: str = ""
    run_id: str = RUN_ID
    artifacts: dict[str, Path] = field(default_factory=dict)

    def run(
        self, workflow: str, event: Event, *, only: tuple[str, ...] = (), done: Mapping[str, JobResult] | None = None
    ) -> dict[str, JobResult]:
        """Every job whose needs succeeded and whose condition holds, in the order they are written.

        `only` these; `done` are jobs that ran before, in this run as far as the others can tell.
        """
        document = yaml.safe_load((self.repository / ".github/workflows" / workflow).read_text())
        results: dict[str, JobResult] = dict(done or {})
        for name, job in document["jobs"].items():
            if (only and name not in only) or name in results:
                continue
            needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
            contexts = self._contexts(event, job, results)
            ready = all(need in results and results[need].status == "success" for need in needs)
            if not ready or not condition(str(job.get("if", "'yes'")), contexts):
                results[name] = JobResult(name, "skipped")
                continue
            results[name] = self._job(name, job, event, contexts)
        return results

    def _contexts(self, event: Event, job: Mapping[str, Any], results: Mapping[str, JobResult]) -> dict[str, Any]:
        environment = job.get("environment", "")
        environment = environment["name"] if isinstance(environment, dict) else environment
        return {
            "secrets": self.secrets.get(environment, {}),
            "vars": self.variables,
            "inputs": event.inputs,
            "github": {
                "token": TOKEN,
                "ref_name": event.ref_name,
                "event": {"head_commit": {"message": event.message}},
            },
            "needs": {name: {"outputs": result.outputs} for name, result in results.items()},
            "steps": {},
        }

    def _job(self, name: str, job: Mapping[str, Any], event: Event, contexts: dict[str, Any]) -> JobResult:
        place = self.work / f"{name}-{len(list(self.work.iterdir()))}"
        workspace, temporary, files = place / "workspace", place / "tmp", place / "files"
        for directory in (workspace, temporary, files):
            directory.mkdir(parents=True)
        result = JobResult(name, "success")
        environment = self._environment(event, temporary, files)
        for number, step in enumerate(job["steps"]):
            output = files / f"output-{number}"
            output.touch()
            environment["GITHUB_OUTPUT"] = str(output)
            if "uses" in step:
                ended = self._action(step, contexts, workspace, environment)
            else:
                ended = self._block(step, contexts, workspace, environment, files / f"script-{number}")
            if ended is not None:
                result.steps.append(ended)
                if ended.code and not step.get("continue-on-error"):
                    result.status = "failure"
                    break
            if "id" in step:
                found = dict(line.partition("=")[::2] for line in output.read_text().splitlines())
                outcome = "failure" if ended is not None and ended.code else "success"
                contexts["steps"][step["id"]] = {"outputs": found, "outcome": outcome}
        result.outputs = {key: interpolate(value, contexts) for key, value in job.get("outputs", {}).items()}
        summary = files / "summary"
        result.summary = summary.read_text() if summary.exists() else ""
        result.left = [path for path in temporary.rglob("*") if path.is_file()]
        self._refuse_leaks(result, place, contexts["secrets"])
        return result

    def _refuse_leaks(self, result: JobResult, place: Path, secrets: Mapping[str, str]) -> None:
        """Nothing a job prints or leaves behind holds what is secret among its secrets, or its token."""
        hidden = [TOKEN, *(value for name, value in secrets.items() if "KEY_" in name or "TOKEN" in name)]
        lines = [line for value in hidden for line in value.splitlines() if len(line) > 20 and "--" not in line]
        kept = [result.output, result.summary]
        kept += [path.read_bytes().decode(errors="replace") for path in place.rglob("*") if path.is_file()]
        assert not [line for line in lines for text in kept if line in text]

    def _environment(self, event: Event, temporary: Path, files: Path) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("PIP_")}
        return kept | {
            "PATH": os.defpath,
            "TMPDIR": str(temporary),
            "RUNNER_TEMP": str(temporary),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ID": self.run_id,
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_API_URL": self.api_url,
            "GITHUB_SHA": self._head(),
            "GITHUB_REF_NAME": event.ref_name,
            "GITHUB_STEP_SUMMARY": str(files / "summary"),
        }

    def _head(self) -> str:
        argv = ["git", "-C", str(self.repository), "rev-parse", "HEAD"]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    def _block(
        self, step: Mapping[str, Any], contexts: dict[str, Any], workspace: Path, environment: dict[str, str], at: Path
    ) -> StepResult:
        assert "${{" not in step["run"], "an expression inside a script is pasted into it"
        at.write_text(step["run"])
        own = {key: interpolate(str(value), contexts) for key, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(at)],
            cwd=workspace,
            env=environment | own,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=DEADLINE,
            check=False,
        )
        return StepResult(step["name"], done.returncode, done.stdout.decode(errors="replace"))

    def _action(
        self, step: Mapping[str, Any], contexts: dict[str, Any], workspace: Path, environment: dict[str, str]
    ) -> StepResult | None:
        action = step["uses"].partition("@")[0]
        wanted = {key: interpolate(str(value), contexts) for key, value in step.get("with", {}).items()}
        if action == "actions/checkout":
            return self._checkout(wanted.get("ref", ""), workspace)
        if action == "actions/setup-python":
            environment["PATH"] = f"{self.python.parent}:{os.defpath}"
        elif action == "actions/upload-artifact":
            kept = self.work / f"artifact-{wanted['name']}-{len(list(self.work.iterdir()))}"
            shutil.copytree(workspace / wanted["path"], kept)
            self.artifacts[wanted["name"]] = kept
        elif action == "actions/download-artifact":
            shutil.copytree(self.artifacts[wanted["name"]], workspace / wanted["path"])
        else:
            raise AssertionError(f"the stand-in does not know {action}")
        return None

    def _checkout(self, ref: str, workspace: Path) -> StepResult | None:
        branch = ["--branch", ref.removeprefix("refs/tags/")] if ref else []
        argv = ["git", "clone", "--quiet", *branch, "--", str(self.repository), str(workspace)]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        return StepResult("checkout", done.returncode, done.stderr) if done.returncode else None


def python_for_jobs(directory: Path) -> Path:
    """The Python that `setup-python` gives: nothing but pip in it, until a job installs something."""
    venv.create(directory, with_pip=True)
    return directory / "bin" / "python"
