"""dependencies: the environment of each role, and its own check of the release."""

from __future__ import annotations

import hashlib
import os
import sys

from ..environments import NOT_MADE, start_environment, wheels_of
from ..errors import StepFailed
from ..files import canonical, delete, names_in, read_json, sha256_file, write_atomic
from ..integrity import environment_problems, note_environment
from ..limits import Record
from ..live_database import LiveDatabase
from ..tree import env_complete
from .work import Work


def dependencies(work: Work) -> Record:
    """Build the environments that are missing or changed; ask each role's check unless it said yes to just this."""
    facts: Record = {"built": []}
    for role in work.plan["roles"]:
        if role["env_digest"] and not _env_whole(work, role["env_digest"]):
            _build_env(work, role)
            facts["built"].append(role["role"])
    for role in work.plan["roles"]:
        if role["check"] and _check_known(work, role):
            facts.setdefault("known", []).append(role["role"])
        elif role["check"]:
            run_check(work, role)
            _note_check(work, role)
    return facts


def _env_whole(work: Work, digest: str) -> bool:
    return env_complete(work.tree, digest) and not environment_problems(work.tree, digest)


def _check_subject(work: Work, role: Record) -> str:
    """Everything the answer of a check depends on: what runs, with what, and by which interpreter."""
    what = [role["check"], work.plan["config"]["digest"], role["env_digest"], role["secrets"], sys.version]
    return hashlib.sha256(canonical([what, [list(row) for row in work.rows]])).hexdigest()


def _check_known(work: Work, role: Record) -> bool:
    """Whether this very check has said yes on this server: then a rollback need not wait for it again."""
    if any("{data}" in word for word in role["check"]):
        return False
    noted = read_json(os.path.join(work.directory, ".checked"), {})
    return bool(noted.get(role["role"]) == _check_subject(work, role))


def _note_check(work: Work, role: Record) -> None:
    path = os.path.join(work.directory, ".checked")
    noted = {**read_json(path, {}), role["role"]: _check_subject(work, role)}
    write_atomic(path, canonical(noted), 0o444, sync=False)


def _build_env(work: Work, role: Record) -> None:
    digest, lock = role["env_digest"], role["lock"]
    path = os.path.join(work.tree.envs, digest)
    begun = work.environments.pop(digest, None)
    begun = begun or start_environment(work.tree, work.tools, digest, work.directory, lock)
    code = work.tools.tell_logged(begun, lambda line: work.recorder.log("dependencies", line, "output"))
    if code == NOT_MADE:
        raise _failed("The environment could not be made", "environment_failed", code)
    if code != 0:
        raise _failed("The packages of %s could not be installed" % lock, "dependencies_failed", code)
    count = len(names_in(wheels_of(work.directory, lock)))
    work.recorder.log("dependencies", "Installed %d packages of %s." % (count, lock), "output")
    note_environment(path)
    sync = ["/usr/bin/sync", "-f", path]
    code = work.tools.logged(sync, path, lambda line: work.recorder.log("dependencies", line, "output"))
    if code != 0:
        raise _failed("The environment could not be written", "environment_failed", code)
    made = {"python": "%d.%d" % sys.version_info[:2], "lock": sha256_file(os.path.join(work.directory, lock))}
    write_atomic(os.path.join(path, ".complete"), canonical(made))


def _failed(what: str, reason: str, code: int) -> StepFailed:
    return StepFailed(reason, "%s (exit code %d); the log says why." % (what, code), exit_code=code)


def run_check(work: Work, role: Record) -> None:
    """The release's own check. It runs as us, so that {data} is a place of copies and not the application's."""
    data = os.path.join(work.tree.backups, ".check-%s" % work.plan["deployment"])
    delete(data)
    os.mkdir(data, 0o700)
    try:
        if any("{data}" in word for word in role["check"]):
            _copy_data(work, role, data)
        _check_with(work, role, data)
    finally:
        delete(data)


def _copy_data(work: Work, role: Record, data: str) -> None:
    for name in role["databases"]:
        os.makedirs(os.path.dirname(os.path.join(data, name)), 0o700, exist_ok=True)
        try:
            LiveDatabase(work.tree.data, name).copy_to(os.path.join(data, name))
        except FileNotFoundError:
            continue


def _check_with(work: Work, role: Record, data: str) -> None:
    env = os.path.join(work.tree.envs, role["env_digest"]) if role["env_digest"] else ""
    places = {
        "{release}": work.directory,
        "{config}": work.config_directory,
        "{data}": data,
        "{env}": env,
    }
    argv = []
    for word in role["check"]:
        for placeholder, path in places.items():
            word = word.replace(placeholder, path)
        argv.append(word)
    own = os.path.join(env, "bin", argv[0])
    if env and "/" not in argv[0] and os.path.exists(own):
        argv[0] = own
    # the secrets where systemd would put them, so that the check sees what the service will see
    argv = ["/usr/bin/env", "CREDENTIALS_DIRECTORY=" + work.tree.secrets, *argv]
    code = work.tools.logged(argv, work.directory, lambda line: work.recorder.log("dependencies", line, "output"))
    if code == 127:
        raise StepFailed("check_failed", "The check of the %s is not there: %s." % (role["role"], argv[2]))
    if code != 0:
        raise StepFailed(
            "check_failed", "The check of the %s said no (exit code %d); the log says why." % (role["role"], code)
        )
