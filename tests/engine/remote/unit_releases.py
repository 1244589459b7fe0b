"""Releases that bring other units, and what of the server that changes with them."""

from engine.remote import RolePlan
from tests.engine.remote.releases import NAME, UNIT, UNIT_FILE, Release, release, role
from tests.engine.remote.servers import Server

EXTRA = "rosey-bot-helper.service"
EXTRA_FILE = f"""\
[Unit]
Description=A second unit
[Service]
User={NAME}
ExecStart=/usr/bin/sleep infinity
[Install]
WantedBy=multi-user.target
""".encode()
FAST = UNIT_FILE.replace(b"service.py", b"service.py --fast")
PROGRAM = f"/usr/local/lib/cytube-ops/{NAME}-units"
STATE = "cd /etc; find systemd/system sudoers.d -type f | sort | xargs sha256sum; find systemd/system -type l | sort"


def with_units(version: str, units: dict[str, bytes]) -> Release:
    """A release that brings these units."""
    paths = ", ".join(f'"systemd/{unit}"' for unit in units)
    described = f'name = "{NAME}"\n[roles.bot]\nunits = [{paths}]\n'.encode()
    made = release(version, {f"systemd/{unit}": content for unit, content in units.items()})
    contents = {**made.contents, "deploy.toml": described}
    return Release(
        version,
        {
            path: text
            for path, text in contents.items()
            if path.rpartition("/")[2] in units or not path.startswith("systemd/")
        },
    )


def role_of(wanted: Release) -> list[RolePlan]:
    files = {entry.path.rpartition("/")[2]: entry.sha256 for entry in wanted.manifest.files if "systemd/" in entry.path}
    return [role(units=list(files), unit_files=files)]


def state(server: Server) -> str:
    return server.shell(STATE)


def command(server: Server, unit: str = UNIT) -> str:
    """What systemd would run, and runs."""
    return server.shell(
        f"systemctl show -p ExecStart {unit} | grep -o 'argv\\[\\]=[^;]*'; "
        f"tr '\\0' ' ' < /proc/$(systemctl show -p MainPID --value {unit})/cmdline"
    )


def as_rosey(server: Server, script: str, content: bytes = b"") -> None:
    done = server.host.root(["runuser", "-u", "rosey", "--", "sh", "-ec", script], content, check=False)
    assert done.returncode == 0, done.stderr
