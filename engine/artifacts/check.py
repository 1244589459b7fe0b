"""Every mistake that keeps a tree from becoming a release, at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.artifacts.config_schema import schema_problem
from engine.artifacts.deploy_toml import FILE, DeployToml, examine
from engine.artifacts.errors import BadConfiguration, BadTemplate, UnknownSource
from engine.artifacts.git import repository_at
from engine.artifacts.lock import read_lock
from engine.artifacts.problems import Problem, key_path
from engine.artifacts.project_locks import as_requirements
from engine.artifacts.rendering import check_template
from engine.artifacts.selection import VERSION, SelectedFile, select
from engine.artifacts.source import DirectoryTree, SourceTree
from engine.artifacts.version import EXPLAINED, read_version
from engine.host.provision.unit_rules import BESIDE_A_RELEASE, accounts_of, name_faults, unit_faults
from engine.host.provision.unit_values import Around

NO_DEPLOY_TOML = Problem(
    FILE,
    "there is no such file at the root of the tree",
    "Write one: docs/deploy-toml.md has an example to begin with.",
    "no_deploy_toml",
)
_CORRECT = "Correct the path, or add the file."


def check_deploy_toml(directory: Path) -> list[Problem]:
    """Every mistake of a project directory as it lies there, committed or not; empty when it can become a release.

    Files that git ignores do not count. The wheels of the lock are not fetched. Raises UnknownSource when the
    directory cannot be read.
    """
    if not directory.is_dir():
        raise UnknownSource(f"{directory} is not a directory.", hint="Name the directory that has the deploy.toml.")
    repository = repository_at(directory)
    tree = DirectoryTree(directory, repository.working_files() if repository and not repository.bare else None)
    if FILE not in tree.entries:
        return [NO_DEPLOY_TOML]
    deploy, problems = examine(tree.read(FILE))
    return problems if deploy is None else tree_problems(tree, deploy)[1]


@dataclass(frozen=True)
class _Candidate:
    """A tree on its way to a release: where each file of it is, and which paths have been refused already."""

    tree: SourceTree
    deploy: DeployToml
    sources: dict[str, str]
    refused: frozenset[str]

    def content(self, path: str) -> bytes | None:
        """The content of a file of the release; None if it is not there."""
        return self.tree.read(self.sources[path]) if path in self.sources else None

    def schema(self, name: str) -> bytes | None:
        """The schema of a configuration file; None without one that can be applied."""
        path = self.deploy.schema_of(name)
        content = self.content(path) if path else None
        return None if content is None or schema_problem(content) else content


def tree_problems(tree: SourceTree, deploy: DeployToml) -> tuple[list[SelectedFile], list[Problem]]:
    """The files of the release that `tree` would become, and every reason why it cannot."""
    files, problems = select(tree, deploy)
    candidate = _Candidate(
        tree, deploy, {file.path: file.source for file in files}, frozenset(problem.key for problem in problems)
    )
    for check in (_version, _locks, _units, _schemas, _templates):
        problems += check(candidate)
    return files, problems


def _version(candidate: _Candidate) -> Iterator[Problem]:
    content = candidate.content(VERSION)
    if content is None:
        yield from _missing(candidate, VERSION, VERSION, EXPLAINED, "missing_version")
    elif read_version(content) is None:
        yield Problem(VERSION, "does not hold a version", EXPLAINED, "missing_version")


def _locks(candidate: _Candidate) -> Iterator[Problem]:
    for name, role in candidate.deploy.roles.items():
        if role.lock is None:
            continue
        content = candidate.content(role.lock)
        if content is None:
            hint = "Make it with `uv pip compile --generate-hashes`, or leave `lock` out if no package is needed."
            yield from _missing(candidate, f"roles.{name}.lock", role.lock, hint, "missing_lock")
        else:
            deploy = candidate.deploy
            pinned, problems = as_requirements(role.lock, content, deploy.python, deploy.architecture)
            yield from problems or read_lock(role.lock, pinned)[1]


def _units(candidate: _Candidate) -> Iterator[Problem]:
    for name, role in candidate.deploy.roles.items():
        for unit in role.units:
            content = candidate.content(unit)
            if content is None:
                yield from _missing(candidate, f"roles.{name}.units", unit, _CORRECT)
            else:
                yield from _unit_problems(unit, content, candidate.deploy, name)
    if "portal" in candidate.deploy.roles:
        for path in (f"systemd/{unit}" for unit in BESIDE_A_RELEASE):
            if content := candidate.content(path):
                yield from _unit_problems(path, content, candidate.deploy, "portal")


def _unit_problems(path: str, content: bytes, deploy: DeployToml, role: str) -> Iterator[Problem]:
    """What a server would refuse, by the rules that it applies itself."""
    unit, name = path.rpartition("/")[2], deploy.name
    if unit.endswith(".service") and f"/opt/{name}/current".encode() not in content:
        hint = f"Begin with WorkingDirectory=/opt/{name}/current: that link always leads to the release that is live."
        yield Problem(path, f"nowhere mentions /opt/{name}/current, so it would not run this release", hint, "bad_unit")
    units = {other.rpartition("/")[2] for each in deploy.roles.values() for other in each.units}
    around = Around(name, accounts_of(name, role), units | BESIDE_A_RELEASE.keys())
    for fault in (*name_faults(unit, name), *unit_faults(unit, content, around)):
        yield Problem(path, fault.wrong, fault.hint, "bad_unit")


def _templates(candidate: _Candidate) -> Iterator[Problem]:
    for environment_name, environment in candidate.deploy.environments.items():
        for name, template in environment.config.items():
            content = candidate.content(template)
            if content is None:
                key = key_path(["environments", environment_name, "config", name])
                yield from _missing(candidate, key, template, _CORRECT)
                continue
            schema = candidate.schema(name)
            try:
                check_template(name, content, schema)
            except (BadTemplate, BadConfiguration) as error:
                yield Problem(template, error.message.rstrip("."), error.hint, "bad_template")


def _schemas(candidate: _Candidate) -> Iterator[Problem]:
    for path in {path for path, key in candidate.deploy.named_files().items() if key == "schema"}:
        content = candidate.content(path)
        if content is None:
            yield from _missing(candidate, "schema", path, _CORRECT)
        elif why := schema_problem(content):
            yield Problem(path, why, "Write a JSON Schema that refers to nothing outside it.", "bad_template")


def _missing(candidate: _Candidate, key: str, path: str, hint: str, reason: str = "missing_file") -> Iterator[Problem]:
    if path not in candidate.refused:
        what = "there is no such file" if key == path else f"{path!r} is not in the tree"
        yield Problem(key, what, hint, reason)
