"""Links, pipes, databases and configuration planted wherever our accounts may write: nothing outside changes.

Before and after everything that is done to a server, every file outside the application's tree is listed with type,
owner, mode and content. What may differ is in `EXPLAINED`, and nothing else.
"""

import json
import re
from collections.abc import Iterator

import pytest

from engine.commands import decommissioning
from engine.commands.decommissioning import Removal
from engine.errors import PortalError
from engine.remote import provision
from engine.remote.errors import ProvisionFailed
from sandbox.hosts import disk
from tests.engine.remote.releases import NAME, UNIT, Release
from tests.engine.remote.servers import ROOT, Server

pytestmark = pytest.mark.hosts

LISTING = r"""
import hashlib, json, os, stat, sys
found, skipped = {}, {"/proc", "/sys", "/dev", "/run", *sys.argv[1:]}
for top, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(top, name) not in skipped]
    for name in folders + files:
        path = os.path.join(top, name)
        status = os.lstat(path)
        what = stat.filemode(status.st_mode) + " %d:%d " % (status.st_uid, status.st_gid)
        if stat.S_ISLNK(status.st_mode):
            what += os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                what += hashlib.sha256(file.read()).hexdigest()
        found[path] = what
print(json.dumps(found))
"""
SEEN_TWICE = disk.HOME
"""Where a host whose room somebody limits has the disk with the tree."""
EXPLAINED = re.compile(
    r"/var/log/.*|/var/lib/systemd/.*|/var/tmp/systemd-private.*|/tmp/systemd-private.*|/tmp/head|/tmp/hsperf.*"
    r"|/var/lib/cytube-ops.*|/usr/local/lib/cytube-ops(/.*)?|/home/rosey/\.ssh(/authorized_keys)?|/home/rosey|/var/cache/ldconfig.*"
    # what decommissioning takes away
    rf"|/etc/systemd/system/(multi-user\.target\.wants/)?({NAME}-.*|{UNIT}(\.d(/.*)?)?)|/etc/systemd/system(/multi-user.*)?"
    rf"|/etc/systemd/system/nftables\.service\.wants(/{NAME}-firewall\.service)?"
    rf"|/etc/sudoers\.d(/{NAME}(_units)?)?|/etc/nftables\.d(/{NAME}\.nft)?|/etc/systemd/journald\.conf\.d(/{NAME}\.conf)?"
)
VICTIMS = f"""
rm -rf /srv/others /home/rosey/own; mkdir -p /srv/others/dir/config /srv/others/dir/secrets /home/rosey/own/dir
for owner in root rosey {NAME} nobody; do
    for mode in 600 644 666; do
        file=/srv/others/$owner-$mode; echo "precious $owner $mode" > $file; chown $owner $file; chmod $mode $file
    done
done
python3 -c "import sqlite3; sqlite3.connect('/srv/others/base.db').execute('create table t (x)')"
cp /srv/others/base.db /home/rosey/own/base.db; echo precious > /home/rosey/own/file
chown -R rosey:rosey /home/rosey/own
chmod 644 /srv/others/base.db; chmod 600 /home/rosey/own/*
"""
PLANT = r"""
import os, sqlite3, struct, sys
names = ["bot.db", "bot.db-journal", "bot.db-wal", "bot.db-shm", "x.service", "authorized_keys", ".release", "data",
         "config", "secrets", "manifests", "journal.jsonl", "fence", "cancel", ".provision-1", "agent.py.new", "x.tmp"]
victims = ["/etc", "/etc/shadow", "/srv/others/dir", "/srv/others/nobody-666", "/srv/others/root-644",
           "/home/rosey/own/file", "/home/rosey/own/base.db", "/home/rosey/own/dir"]
planted, step = 0, int(sys.argv[1])
writable = [top for top, folders, _ in os.walk("/") if not top.startswith(("/proc", "/sys", "/dev", "/run"))
            and os.access(top, os.W_OK | os.X_OK)]
for top in writable:
    for number, name in enumerate(names):
        path, victim = os.path.join(top, name), victims[(number + step) % len(victims)]
        kind = (number + step) % 4
        try:
            if kind == 0:
                os.symlink(victim, path)
            elif kind == 1:
                os.link(victim, path)
            elif kind == 2:
                os.mkfifo(path)
            else:  # a hot journal whose super-journal is somebody's file
                name = victim.encode()
                with open(path, "xb") as file:
                    file.write(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + struct.pack(">IIIII", 1, 7, 1, 512, 4096))
                    file.write(b"\0" * 484)
                    file.write(struct.pack(">I", 1) + name + struct.pack(">II", len(name), sum(name)))
                    file.write(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")
            planted += 1
        except OSError:
            pass
print(planted)
"""


def listing(server: Server) -> dict[str, str]:
    said: dict[str, str] = json.loads(server.host.root(["python3", "-c", LISTING, ROOT, SEEN_TWICE]).stdout)
    return {path: what for path, what in said.items() if not EXPLAINED.fullmatch(path)}


def plant(server: Server, account: str, step: int) -> None:
    argv = ["runuser", "-u", account, "--", "python3", "-B", "-c", PLANT, str(step)]
    assert int(server.host.root(argv).stdout) > (4 if account == NAME else 40)


@pytest.fixture
def planted(running: Server) -> Iterator[Server]:
    running.shell(VICTIMS)
    yield running
    running.shell("pkill -9 -f '[a]gent-[0-9a-f]{64}'")  # one may wait at a pipe that its own account has planted
    running.shell(
        f"rm -rf /srv/others /home/rosey/own {ROOT}; find /tmp /var/tmp /home -xdev -user rosey -type p -delete;"
        f" find /tmp /var/tmp -mindepth 1 \\( -user rosey -o -user {NAME} \\) -delete; rm -rf /home/rosey/.ssh/*;"
        " find /home/rosey -maxdepth 1 -type l -delete"
    )
    running.provision()


def attempts(server: Server, old: Release, new: Release, fence: int) -> None:
    """Provision, deploy, deploy what fails and is reverted; what is refused is refused."""
    for action in (
        server.provision,
        lambda: server.run(new, fence, base=old),
        lambda: server.run(old, fence + 1, base=new, config={"crash": True}),
        server.provision,
    ):
        try:
            action()
        except PortalError:
            continue


@pytest.mark.parametrize(
    "step", [0, 1, pytest.param(2, marks=pytest.mark.full), pytest.param(3, marks=pytest.mark.full)]
)
def test_nothing_outside_the_tree_changes(planted: Server, old: Release, new: Release, step: int) -> None:
    server = planted
    plant(server, NAME, step)
    before = listing(server)
    result = server.run(new, 2, base=old)
    assert result.status in ("succeeded", "reverted", "failed"), result
    attempts(server, old, new, 3)
    assert changes(before, listing(server)) == {}
    plant(server, "rosey", step)
    before = listing(server)
    attempts(server, old, new, 10)
    assert changes(before, listing(server)) == {}
    removal = Removal(name=NAME, roles=["bot"], units=[UNIT], public_keys=[server.public], delete_data=step % 2 == 1)
    with server.bootstrap() as session:
        refused = ""
        try:
            provision(session, decommissioning.operations(removal), sudo=False)
        except ProvisionFailed as error:
            refused = error.message
    assert ".ssh" in refused or not refused, "by the name of what is in the way"
    assert refused or server.shell(f"ls {ROOT} | grep -v -e shared -e backups") == ""
    assert changes(before, listing(server)) == {}


def changes(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[str, str]]:
    paths = before.keys() | after.keys()
    return {path: (before.get(path, ""), after.get(path, "")) for path in paths if before.get(path) != after.get(path)}
