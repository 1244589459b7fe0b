"""A whole portal beside the tests: its own database, its own real clusters, its own server with a running bot.

Many faults strike the same world one after the other: what one of them leaves behind, the next one meets.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.db import connections
from django.test import override_settings
from django.utils import timezone

from deployments.execution.reaper import reap
from deployments.lifecycle import Status
from deployments.models import Deployment, Release
from portal.run import die_with_parent
from sandbox.hosts import Host
from tests.fixtures.fleet import TREE, UNIT, Fleet, Provisioned
from tests.stories.databases import DATABASES
from tests.stories.running import (
    active,
    deadlines,
    lock_is_free,
    no_rehearsals,
    rehearse,
    roll,
    rolls,
    runs,
    shell,
    wait_for,
)

ROOT = Path(__file__).resolve().parents[2]
HUNG_SECONDS = 6.0
"""Deadline of the step that a rehearsal holds for ever."""


class World:
    """One portal and its server. Use it inside `with world.entered()`, which points Django at its database."""

    CLUSTERS: ClassVar[tuple[str, ...]] = ("deploys", "rescue")

    def __init__(self, provisioned: Provisioned, directory: Path, kind: str, servers: int = 1) -> None:
        self.kind = kind
        self.servers = servers
        self.struck = 0
        self.directory = directory
        self.fleet = Fleet(provisioned, directory)
        self.database = DATABASES[kind](directory)
        self._clusters: dict[str, subprocess.Popen[bytes]] = {}
        self._releases: dict[str, Release] = {}

    @property
    def machine(self) -> Host:
        """The server that faults strike."""
        return self.fleet.machines[self.struck]

    # the portal's processes

    @contextmanager
    def up(self) -> Iterator[None]:
        """Database, clusters, and the first release on the server; afterwards nothing of it is left."""
        with contextlib.ExitStack() as stack:
            self.database.start()
            stack.callback(self.database.stop)
            self._manage("migrate", "--verbosity", "0")
            for machine in self.fleet.machines[: self.servers]:
                machine.root(["systemctl", "stop", UNIT], check=False)
                machine.disk("4G", path=TREE)  # a service keeps the files it has open, so before it runs
            stack.callback(self._kill_clusters)
            with self.entered():
                self.fleet.enrol(self.servers)
                for name in self.CLUSTERS:
                    self.start_cluster(name)
                first = self.deploy(self.release("1.0.0"))
                assert first.status == Status.SUCCEEDED, first.sentence
            yield

    def _kill_clusters(self) -> None:
        for name in list(self._clusters):
            self.kill_cluster(name)

    def start_cluster(self, name: str) -> None:
        """As systemd does."""
        with (self.directory / f"{name}.log").open("ab") as log:
            self._clusters[name] = subprocess.Popen(
                [sys.executable, "manage.py", "qcluster"],
                cwd=ROOT,
                env=self._environment_of(name),
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def kill_cluster(self, name: str) -> None:
        """SIGKILL for every process of it."""
        cluster = self._clusters.pop(name)
        os.killpg(cluster.pid, signal.SIGKILL)
        cluster.wait()

    def logs(self) -> str:
        """The last words of the clusters, for whoever looks at a failure."""
        return "\n".join(path.read_text()[-3000:] for path in sorted(self.directory.glob("*.log")))

    def _environment_of(self, cluster: str) -> dict[str, str]:
        return {**self._environment(), "Q_CLUSTER_NAME": cluster}

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "PORTAL_STATE_DIR": str(self.directory),
            "PORTAL_SECRET_KEY": settings.SECRET_KEY,
            "PORTAL_ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
            "DATABASE_URL": self.database.url,
        }

    def _manage(self, *arguments: str) -> None:
        subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=self._environment(), check=True)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Django's default connection, its settings and its files are this portal's, in this process too."""
        from portal import environment

        usual = connections.settings["default"]
        env = environment.read()
        with override_settings(STATE_DIR=self.directory, MEDIA_ROOT=self.directory / "artifacts"):
            os.environ["DATABASE_URL"] = self.database.url
            ours = {**usual, "OPTIONS": {}, **environment.database(env, self.directory)}
            self._point_django_at(ours)
            try:
                yield
            finally:
                del os.environ["DATABASE_URL"]
                self._point_django_at(usual)

    @staticmethod
    def _point_django_at(database: dict[str, object]) -> None:
        connections["default"].close()
        connections.settings["default"] = database
        connections["default"] = connections.create_connection("default")

    # releases and deployments

    def release(self, version: str, change: Callable[[Path], None] = lambda tree: None) -> Release:
        """Built once per world."""
        if version not in self._releases:
            self._releases[version] = self.fleet.release(version, change)
        return self._releases[version]

    def with_short_deadline(self, step: str) -> Release:
        """A release whose `step` has a short deadline."""
        return self.release(f"2.{sum(step.encode())}.0", deadlines(**{step: HUNG_SECONDS}))

    def another(self) -> Release:
        """A plain release that does not run now."""
        return self.release("1.0.1" if self.running == self.release("1.0.0").identifier else "1.0.0")

    def deploy(self, release: Release) -> Deployment:
        """Ask for it, and wait until the clusters have done it."""
        return self.until_ended(self.fleet.request(release))

    def until_ended(self, deployment: Deployment, deadline: float = 150.0) -> Deployment:
        """Wait for its end; the reaper comes by more often than every minute."""

        def ended() -> bool:
            reap()
            deployment.refresh_from_db()
            return deployment.ended

        wait_for(ended, f"deployment {deployment.pk} to end\n{self.logs()}", deadline=deadline)
        return deployment

    def let_lease_run_out(self, deployment: Deployment) -> None:
        """The worker is dead, and half a minute has gone by."""
        Deployment.objects.executing().filter(pk=deployment.pk).update(lease_until=timezone.now())

    # the truth on the server

    @property
    def running(self) -> str:
        """What `current` leads to."""
        return self.fleet.current()

    def rehearse(self, moment: str, script: str) -> None:
        """Hold the next run there."""
        rehearse(self.machine, moment, script)

    def roll(self) -> int:
        """A few more rows in the bot's database; how many there are then."""
        roll(self.machine, 3)
        return rolls(self.machine)

    def rows(self) -> int:
        """Rows in the bot's database."""
        return rolls(self.machine)

    def answers(self) -> str:
        """The release the running bot says it is."""
        return runs(self.machine)

    def unit(self) -> str:
        """How systemd sees the bot."""
        return active(self.machine)

    def lock_is_free(self) -> bool:
        """Whether no agent holds the server's lock."""
        return lock_is_free(self.machine)

    def left_running(self) -> str:
        """Agents and processes that steps of a deployment started."""
        return shell(self.machine, "pgrep -af '[.]deploy/agent'; grep -lsz DEPLOYMENT_RUN= /proc/[0-9]*/environ")

    def calm(self) -> None:
        """Undo whatever a fault did to the server and the portal's processes."""
        self.machine.clear()
        self.machine.link(True)
        self.machine.power_on()
        self.machine.disk_off()
        no_rehearsals(self.machine)
        for name in self.CLUSTERS:
            if name not in self._clusters or self._clusters[name].poll() is not None:
                self._clusters.pop(name, None)
                self.start_cluster(name)
