"""dependencies: the environment of each role, and its own check of the release."""

from __future__ import annotations

import hashlib
import os
import sys
from typing import List

from ..errors import StepFailed
from ..files import canonical, delete, discard, names_in, read_json, sha256_file, write_atomic
from ..integrity import environment_problems, note_environment
from ..limits import Record
from ..live_database import LiveDatabase
from ..tree import env_complete
from .work import Work


def bundled_pip() -> str:
    """The pip that Python's ensurepip carries (Debian: python3-pip-whl), run from within its wheel."""
    import ensurepip

    directories = [
        getattr(ensurepip, "_WHEEL_PKG_DIR", None),
        os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"),
    ]
    for directory in filter(None, directories):
        for name in names_in(directory):
            if name.startswith("pip-") and name.endswith(".whl"):
                return os.path.join(directory, name, "pip")
    raise StepFailed("environment_failed", "This server's Python has no ensurepip; run provision, which installs it.")


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
    path = os.path.join(work.tree.envs, role["env_digest"])
    if os.path.lexists(path):
        discard(path)
    lock = os.path.join(work.directory, role["lock"])
    wheels = os.path.join(work.directory, "wheels", os.path.splitext(os.path.basename(role["lock"]))[0])
    # without a pip of its own, which would take longer to install than most locks: ensurepip's copy serves all
    _must(
        work,
        [sys.executable, "-I", "-m", "venv", "--without-pip", path],
        "The environment could not be made",
        "environment_failed",
    )
    python = [os.path.join(path, "bin", "python"), "-I"]
    install = [*python, bundled_pip(), "install", "--no-compile", "--no-index", "--no-cache-dir"]
    install += [
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--find-links",
        wheels,
        "--require-hashes",
        "-r",
        lock,
    ]
    _must(work, install, "The packages of %s could not be installed" % role["lock"], "dependencies_failed")
    count = len(os.listdir(wheels)) if os.path.isdir(wheels) else 0
    if count:  # on every core, where pip has one; as with pip, what is no Python of this version stays without
        work.tools.logged([*python, "-m", "compileall", "-qq", "-j", "0", path + "/lib"], path, lambda line: None)
    work.recorder.log("dependencies", "Installed %d packages of %s." % (count, role["lock"]), "output")
    note_environment(path)
    _must(work, ["/usr/bin/sync", "-f", path], "The environment could not be written", "environment_failed")
    content = canonical({"python": "%d.%d" % sys.version_info[:2], "lock": sha256_file(lock)})
    write_atomic(os.path.join(path, ".complete"), content)


def _must(work: Work, argv: List[str], otherwise: str, reason: str) -> None:
    code = work.tools.logged(argv, work.directory, lambda line: work.recorder.log("dependencies", line, "output"))
    if code != 0:
        raise StepFailed(reason, "%s (exit code %d); the log says why." % (otherwise, code), exit_code=code)


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
