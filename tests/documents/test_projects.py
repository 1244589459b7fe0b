"""docs/projects.md, word for word: three projects are made and built as printed, then deployed to a real server.

Their packages are those that are installed here, as wheels of pure Python: no index is asked.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone

from dashboard.selectors.bot_status import bot_statuses
from dashboard.services.probing import probe_services
from deployments.core.actors import shell_actor
from deployments.environments.secrets import set_secret
from deployments.execution.run import execute
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment, Server
from sandbox.hosts import HostSet
from tests.documents.local_wheels import wheels_of
from tests.project.blocks import ROOT, blocks
from tests.stories.running import shell, wait_for
from tests.stories.saying import said

PAGE = ROOT / "docs/projects.md"
PACKAGES = (
    *("flask", "werkzeug", "jinja2", "markupsafe", "itsdangerous", "click", "blinker", "gunicorn", "packaging"),
    *("simple-websocket", "wsproto", "h11"),
)
PROJECTS = {"hello-web": "asked", "night-loop": "unasked", "parrot-bot": "asked"}


def printed(mark: str) -> list[str]:
    """The blocks of the page with this mark."""
    return [block.text for block in blocks(PAGE) if block.mark == mark]


@pytest.fixture
def packages(tmp_path: Path) -> dict[str, str]:
    """Where uv and pip find packages, and nowhere else."""
    directory = tmp_path / "packages"
    directory.mkdir()
    wheels_of(PACKAGES, directory)
    settings = tmp_path / "uv.toml"
    settings.write_text(f'no-index = true\nfind-links = ["{directory}"]\n')
    return {"UV_CONFIG_FILE": str(settings), "PIP_FIND_LINKS": str(directory), "PIP_NO_INDEX": "1"}


def followed(portal: Path, packages: dict[str, str], before: str = "") -> str:
    """The page's blocks in one shell, in a directory that has `manage.py`; what they said."""
    portal.mkdir()
    (portal / "manage.py").symlink_to(ROOT / "manage.py")
    environ = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ} | packages
    environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ["PORTAL_STATE_DIR"] = str(portal / ".state")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join([before, *printed("run")])],
        cwd=portal, env=environ, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_three_projects_are_made_checked_and_built_as_printed(tmp_path: Path, packages: dict[str, str]) -> None:
    words = followed(tmp_path / "portal", packages)
    assert len(re.findall(r"^Built 1\.0\.0-", words, re.MULTILINE)) == 3
    assert "parrot-bot/test/gateway-token is version 1" in words


@pytest.mark.hosts
def test_they_are_deployed_to_one_server_as_printed(
    hosts_factory: Callable[..., HostSet],
    transactional_db: None,
    state_dir: Path,
    tmp_path: Path,
    packages: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    followed(
        tmp_path / "portal", packages, before="function ./manage.py { if [ -p /dev/stdin ]; then cat >/dev/null; fi; }"
    )
    for name, value in packages.items():
        monkeypatch.setenv(name, value)
    for line in "\n".join(printed("run")).splitlines():
        if line.startswith(("./manage.py environments", "./manage.py build_release")):
            words = shlex.split(line.replace("../", f"{tmp_path}/"))[1:]
            assert said(*words)[0] == 0, line
    Environment.objects.update(bake_seconds=0)
    home = Environment.objects.get(application="parrot-bot")
    set_secret(actor=shell_actor("tester"), environment=home, name="gateway-token", value="a-token")
    hosts = hosts_factory(1)
    for line in filter(None, "\n".join(printed("example")).splitlines()):
        follow(line, hosts)
    host = hosts.host(1)
    wait_for(lambda: shell(host, "curl -s -m 5 http://127.0.0.1:8301/") == "Hello!", "the web application")
    assert '"connected": false' in shell(host, "curl -s -m 5 http://127.0.0.1:8302/")
    assert shell(host, "systemctl is-active hello-web night-loop parrot-bot").split() == ["active"] * 3
    assert shell(host, "stat -c %U /opt/parrot-bot/shared/data/parrot.db") == "parrot-bot"
    assert {row.environment.application: row.service for row in Server.objects.all()} == PROJECTS
    assert probe_services() == 2
    assert {bot.name: bot.word for bot in bot_statuses(timezone.now())} == {
        "web-1": "Running",
        "parrot-1": "Running",
        "loop-1": "Not watched",
    }


def follow(line: str, hosts: HostSet) -> None:
    """One line of the page, on this server; a worker carries out what it asks for."""
    host = hosts.host(1)
    here = {"server.example.org": host.address, "SHA256:…": host.fingerprint}
    program, name, *words = [here.get(word, word) for word in shlex.split(line)]
    assert program == "./manage.py"
    more = {
        "enroll": ["--port", str(host.port)],
        "provision": ["--bootstrap-key", str(hosts.bootstrap_key)],
        "deploy": ["--no-wait"],
    }
    code, told = said(name, *words, *more[name])
    assert code == 0, (line, told)
    if name == "deploy":
        deployment = Deployment.objects.latest("pk")
        execute(deployment.pk)
        deployment.refresh_from_db()
        assert deployment.status == Status.SUCCEEDED, (deployment.sentence, told)
