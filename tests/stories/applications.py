"""Projects of four kinds for one portal: the CyTube bot, the example service, a web application, a bare loop."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fixtures.records import EXAMPLE

ROOT = Path(__file__).resolve().parents[2]
BREAKS = 'import sys\nif "--check" not in sys.argv:\n    raise SystemExit(1)\n'
"""A program that begins like this passes its check and does not run."""
FIRST_IMPORT = re.compile(r"^(?=import |from (?!__future__))", re.MULTILINE)
LOOP = "import time\nwhile True:\n    time.sleep(1)\n"
LOOP_UNIT = """\
[Unit]
Description=A loop that answers nobody

[Service]
User=ticker
ExecStart=/usr/bin/python3 -B /opt/ticker/current/ticker.py
Restart=always
RestartSec=0.2

[Install]
WantedBy=multi-user.target
"""
LOOP_TOML = """\
name = "ticker"
python = "3.11"
include = ["ticker.py"]

[roles.bot]
units = ["systemd/ticker.service"]
watch = 2

[environments.night]
"""


@dataclass(frozen=True)
class Project:
    """One application: the environment it is for, the program that a broken release breaks, its units and its port."""

    name: str
    environment: str
    lay_out: Callable[[Path], None]
    program: str
    units: tuple[str, ...]
    url: str = ""
    secrets: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Its environment, as commands name it."""
        return f"{self.name}/{self.environment}"

    def tree(self, directory: Path, version: str, *, broken: bool = False) -> Path:
        """Its tree as `version`; a broken one does not run."""
        tree = directory / f"{self.name}-{version}"
        tree.mkdir()
        self.lay_out(tree)
        (tree / "VERSION").write_text(f"{version}\n")
        program = tree / self.program
        text = program.read_text()
        begins = FIRST_IMPORT.search(text)
        assert begins is not None
        text = f"{text[: begins.start()]}{BREAKS}{text[begins.start() :]}" if broken else f"{text}\n# {version}\n"
        program.write_text(text)
        return tree

    def trace(self, account: str) -> str:
        """A line of shell that says everything of it on a host but what it writes itself, with its processes."""
        table, units = self.name.replace("-", "_"), " ".join(self.units)
        return (
            f"find /opt/{self.name} -path '*/shared/data*' -prune -o -path '*/.deploy*' -prune -o -name '*.pyc' -prune"
            " -o -type f -print0 | sort -z | xargs -0 sha256sum;"
            f" cd /etc/systemd/system && sha256sum {units}; readlink /opt/{self.name}/current;"
            f" cat /etc/sudoers.d/{self.name}*; sudo -n -l -U {account}; cat /home/{account}/.ssh/authorized_keys;"
            f" id {account} {self.name}; nft list table inet {table};"
            f" systemctl show -p Id,ActiveState,UnitFileState,MainPID,NRestarts {units}"
        )

    def remains(self) -> str:
        """A line of shell that says what a removal has left of it."""
        return (
            f"ls -d /opt/{self.name}/releases /etc/sudoers.d/{self.name}* 2>/dev/null;"
            f" cd /etc/systemd/system && ls -d {' '.join(self.units)} {self.name}-* 2>/dev/null;"
            f" nft list tables | grep -w {self.name.replace('-', '_')}"
        )


def _bot(tree: Path) -> None:
    for name in ("botcore", "systemd"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "requirements").mkdir()
    shutil.copy(ROOT / "requirements" / "bot.txt", tree / "requirements")
    text = (ROOT / "deploy.toml").read_text()
    role = text[text.index("[roles.bot]") : text.index("[roles.portal]")]
    head = 'name = "rosey-bot"\npython = "3.11"\ninclude = ["botcore"]\n\n'
    room = text[text.index("[environments.test.roles.bot]") : text.index('"monitoring.json"')]
    (tree / "deploy.toml").write_text(head + role + room.replace(".test", ".cinema"))


def _dice(tree: Path) -> None:
    shutil.copytree(EXAMPLE, tree, dirs_exist_ok=True)
    described = (tree / "deploy.toml").read_text()
    (tree / "deploy.toml").write_text(described.replace("environments.test", "environments.staging"))


def _shop(tree: Path) -> None:
    shutil.copytree(EXAMPLE.parent / "shop", tree, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def _ticker(tree: Path) -> None:
    (tree / "systemd").mkdir()
    (tree / "systemd" / "ticker.service").write_text(LOOP_UNIT)
    (tree / "ticker.py").write_text(LOOP)
    (tree / "deploy.toml").write_text(LOOP_TOML)


BOT = Project(
    "rosey-bot",
    "cinema",
    _bot,
    "botcore/__main__.py",
    ("cytube-bot.service",),
    "http://127.0.0.1:8001/api/health",
    secrets=("cytube-password",),
)
DICE = Project(
    "dice-bot", "staging", _dice, "dicebot/__main__.py", ("dice-bot.service",), "http://127.0.0.1:8101/status"
)
SHOP = Project(
    "shop",
    "market",
    _shop,
    "shop/worker.py",
    ("shop-web.socket", "shop-web.service", "shop-worker.service"),
    "http://127.0.0.1:8301/health",
)
TICKER = Project("ticker", "night", _ticker, "ticker.py", ("ticker.service",))
