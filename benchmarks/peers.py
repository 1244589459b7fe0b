"""What people use instead: a bare ssh+rsync script, Ansible and pyinfra, each with a service of its own beside ours.

All three do the same: a new release directory whose unchanged files are hard links, one atomic switch, one restart, and
the wait for the same answers, in the same shell words. Ansible and pyinfra come from the package registry into an
environment of their own; without them the script stands alone.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.tree import UNIT

if TYPE_CHECKING:
    from sandbox.hosts import HostSet

PACKAGES = ("ansible-core==2.19.*", "pyinfra==3.*")
PORTS = {"script": 8102, "Ansible": 8103, "pyinfra": 8104}
SAMPLES, INTERVAL = 3, 0.1
ACCOUNT = "peer"
SCRIPT = Path(__file__).with_name("peer.sh")
ENVIRONMENT = Path(__file__).resolve().parent.parent / ".state" / "peers"

SWITCH = "ln -sfn releases/{version} /opt/{name}/next && mv -T /opt/{name}/next /opt/{name}/current"
RESTART = "sudo -n systemctl restart {name}.service"
RULE = ACCOUNT + " ALL=(root) NOPASSWD: /usr/bin/systemctl restart {name}.service"
WAIT = (
    "seen=0; for try in $(seq 500); do "
    "if curl -fs http://127.0.0.1:{port}/api/health | grep -q '\"{version}\"'; then "
    "seen=$((seen + 1)); [ $seen -lt {samples} ] || exit 0; sleep {interval}; else seen=0; sleep 0.02; fi; done; exit 1"
)
RSYNC = ("-a", "--delete", "--checksum", "--link-dest=/opt/{name}/current/")

PLAYBOOK = """\
- hosts: all
  gather_facts: false
  vars: {{ansible_python_interpreter: /usr/bin/python3}}
  tasks:
    - ansible.builtin.file: {{path: "/opt/{name}/releases/{version}", state: directory}}
      when: not {back}
    - ansible.builtin.command: >-
        rsync {rsync} -e "{ssh}" {tree}/ {account}@{{{{ inventory_hostname }}}}:/opt/{name}/releases/{version}/
      delegate_to: localhost
      when: not {back}
    - ansible.builtin.shell: {{cmd: {switch!r}}}
    - ansible.builtin.command: {restart}
    - ansible.builtin.shell: |
        {wait}
"""
PYINFRA = """\
from pyinfra.operations import files, server

if not {back}:
    server.shell(commands=["mkdir -p /opt/{name}/releases/{version}"])
    files.rsync(src="{tree}/", dest="/opt/{name}/releases/{version}/", flags={rsync_list!r})
server.shell(commands=[{switch!r}])
server.shell(commands=[{restart!r}])
server.shell(commands=[{wait!r}])
"""
INVENTORY = """\
hosts = {hosts!r}
all = (hosts, {{
    "ssh_user": {account!r}, "ssh_key": {key!r}, "ssh_known_hosts_file": {known!r},
    "ssh_strict_host_key_checking": "yes", "ssh_allow_agent": False, "ssh_look_for_keys": False,
}})
"""


class Peers:
    """The services of the peers on every host of a set, and one deployment or rollback of each.

    Without `others` than the script, none has to be installed.
    """

    def __init__(self, hosts: "HostSet", scratch: Path, tree: Path, *, others: bool = True) -> None:
        self._hosts, self._scratch, self._tree = hosts, scratch, tree
        self._key, self._known = str(hosts.bootstrap_key), str(scratch / "known_hosts")
        self.names = ["script"]
        if others and _installed():
            self.names += ["Ansible", "pyinfra"]
        elif others:
            print("Ansible and pyinfra are left out: the package registry does not give them.")
        machines = [hosts.host(number) for number in range(1, 1 + len(hosts.hosts))]
        Path(self._known).write_text("".join(f"{one.address} {one.host_key}\n" for one in machines))
        for machine in machines:
            machine.root(["sh", "-c", self._account()])

    def _account(self) -> str:
        """A shell program: account, key, units and their restart, as somebody would prepare a server by hand."""
        lines = [
            "set -e",
            f"id {ACCOUNT} >/dev/null 2>&1 || useradd -m -s /bin/bash {ACCOUNT}",
            f"mkdir -p /home/{ACCOUNT}/.ssh",
            f"echo '{Path(self._key + '.pub').read_text().strip()}' > /home/{ACCOUNT}/.ssh/authorized_keys",
            f"chown -R {ACCOUNT}: /home/{ACCOUNT}",
        ]
        for peer, port in PORTS.items():
            name = _service(peer)
            lines += [
                f"id {name} >/dev/null 2>&1 || useradd -r {name}",
                f"mkdir -p /opt/{name}/releases; chown -R {ACCOUNT}: /opt/{name}",
                f"cat > /etc/systemd/system/{name}.service <<'UNIT'\n{UNIT.format(name=name, port=port)}\nUNIT",
                f"echo '{RULE.format(name=name)}' >> /etc/sudoers.d/peer",
            ]
        return "\n".join([*lines, "chmod 440 /etc/sudoers.d/peer", "systemctl daemon-reload"])

    def deploy(self, peer: str, servers: int, version: str, *, back: bool = False) -> float:
        """Seconds of one deployment, or of going back to a version that lies there, as a command line."""
        addresses = [self._hosts.host(number).address for number in range(1, servers + 1)]
        command = {"script": self._script, "Ansible": self._ansible, "pyinfra": self._pyinfra}[peer]
        argv = command(addresses, version, back)
        started = time.perf_counter()
        done = subprocess.run(argv, capture_output=True, text=True, env=self._variables(), check=False)
        took = time.perf_counter() - started
        if done.returncode != 0:
            raise SystemExit(f"{peer} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return took

    def _script(self, addresses: Sequence[str], version: str, back: bool) -> list[str]:
        return [
            *(str(SCRIPT), _service("script"), str(PORTS["script"]), str(self._tree), version),
            *(self._key, self._known, str(SAMPLES), str(INTERVAL), ACCOUNT),
            *(["--back"] if back else []),
            *("--", *addresses),
        ]

    def _ansible(self, addresses: Sequence[str], version: str, back: bool) -> list[str]:
        play = self._scratch / "play.yml"
        play.write_text(PLAYBOOK.format(**self._words("Ansible", version, back)))
        hosts = ",".join(addresses) + ","
        program = str(ENVIRONMENT / "bin" / "ansible-playbook")
        return [program, "-i", hosts, "-u", ACCOUNT, "--private-key", self._key, str(play)]

    def _pyinfra(self, addresses: Sequence[str], version: str, back: bool) -> list[str]:
        inventory, deploy = self._scratch / "inventory.py", self._scratch / "deploy.py"
        words = {"account": ACCOUNT, "key": self._key, "known": self._known}
        inventory.write_text(INVENTORY.format(hosts=list(addresses), **words))
        deploy.write_text(PYINFRA.format(**self._words("pyinfra", version, back)))
        return [str(ENVIRONMENT / "bin" / "pyinfra"), "-y", str(inventory), str(deploy)]

    def _words(self, peer: str, version: str, back: bool) -> dict[str, object]:
        words = {"name": _service(peer), "port": PORTS[peer], "version": version}
        words.update(samples=SAMPLES, interval=INTERVAL, account=ACCOUNT, tree=self._tree, back=back)
        flags = [flag.format(**words) for flag in RSYNC]
        words.update(rsync=" ".join(flags), rsync_list=flags, ssh=" ".join(["ssh", "-i", self._key, *self._ssh()]))
        words.update(switch=SWITCH.format(**words), restart=RESTART.format(**words), wait=WAIT.format(**words))
        return words

    def _ssh(self) -> list[str]:
        options = (f"UserKnownHostsFile={self._known}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes")
        return [word for option in options for word in ("-o", option)]

    def _variables(self) -> dict[str, str]:
        """Ansible at its best: pipelining, a kept connection, all servers at once."""
        return {
            **os.environ,
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_FORKS": "10",
            "ANSIBLE_HOME": str(self._scratch / "ansible"),
            "ANSIBLE_SSH_ARGS": " ".join(["-o ControlMaster=auto -o ControlPersist=60s", *self._ssh()]),
        }


def _service(peer: str) -> str:
    return f"{peer.lower()}-bot"


def _installed() -> bool:
    """Whether the peers are in their environment by now; the first time takes half a minute."""
    if (ENVIRONMENT / "bin" / "pyinfra").exists() and (ENVIRONMENT / "bin" / "ansible-playbook").exists():
        return True
    pip = [str(ENVIRONMENT / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", *PACKAGES]
    for command in ([sys.executable, "-m", "venv", str(ENVIRONMENT)], pip):
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            return False
    return True
