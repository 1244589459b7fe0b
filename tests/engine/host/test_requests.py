"""What arrives is checked before any of it becomes a path or an argument."""

import copy
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from engine.host.agent.errors import Refused
from engine.host.agent.request import check_plan, safe_path
from engine.host.agent.tree import Tree
from engine.remote.plan import config_digest

SHA = hashlib.sha256(b"").hexdigest()


def wire(tree: Tree) -> dict[str, Any]:
    return {
        "protocol": 1,
        "root": tree.root,
        "name": "rosey-bot",
        "deployment": "12",
        "fence": 3,
        "release": "1.0-abc",
        "version": "1.0",
        "manifest": [["a/b", 0o444, SHA, 0]],
        "roles": [
            {
                "role": "bot",
                "units": ["bot.service"],
                "unit_files": {"bot.service": SHA},
                "lock": "requirements.txt",
                "env_digest": SHA,
                "check": ["python", "-V"],
                "health": {"url": "http://127.0.0.1:8001/api/health"},
                "secrets": {"password": 1},
                "databases": ["bot.db"],
                "dumps": [{"name": "pg", "dump": ["pg_dump"], "restore": ["psql"]}],
                "watch": {"bot.service": 3600},
            }
        ],
        "hooks": [
            {
                "moment": "before_activate",
                "role": "bot",
                "account": "application",
                "command": ["migrate"],
                "back": [],
                "deadline": 3600,
            }
        ],
        "config": {"digest": config_digest({"bot.json": b"{}"}), "files": {"bot.json": "e30="}},
        "pins": ["0.9"],
    }


def test_a_proper_plan_is_accepted(tree: Tree) -> None:
    check_plan(wire(tree), tree)
    bare = wire(tree)
    del bare["hooks"], bare["roles"][0]["dumps"], bare["roles"][0]["watch"]
    bare["roles"][0].update(lock=None, env_digest=None, health=None)
    check_plan(bare, tree)  # as an older portal sends it


Spoil = Callable[[dict[str, Any]], object]
SPOILT: dict[str, Spoil] = {
    "another root": lambda p: p.update(root="/opt/other"),
    "a release with a slash": lambda p: p.update(release="../../etc"),
    "a hidden release": lambda p: p.update(release=".staging-1"),
    "a release with a line break": lambda p: p.update(release="a\nb"),
    "a deployment with a slash": lambda p: p.update(deployment="1/2"),
    "no fence": lambda p: p.update(fence=0),
    "a fence of text": lambda p: p.update(fence="3"),
    "a path that climbs": lambda p: p["manifest"].append(["../x", 0o444, SHA, 0]),
    "an absolute path": lambda p: p["manifest"].append(["/etc/x", 0o444, SHA, 0]),
    "one of our own names": lambda p: p["manifest"].append([".envs/bot/bin/python", 0o555, SHA, 0]),
    "a path twice": lambda p: p["manifest"].append(["a/b", 0o444, SHA, 0]),
    "a setuid mode": lambda p: p["manifest"].append(["x", 0o4555, SHA, 0]),
    "a hash that is none": lambda p: p["manifest"].append(["x", 0o444, "../../x", 0]),
    "a unit with an option": lambda p: p["roles"][0].update(units=["--force"]),
    "a unit with a space": lambda p: p["roles"][0].update(units=["a.service b.service"]),
    "a unit file elsewhere": lambda p: p["roles"][0].update(unit_files={"../../x.service": SHA}),
    "a lock elsewhere": lambda p: p["roles"][0].update(lock="../../requirements.txt"),
    "an environment elsewhere": lambda p: p["roles"][0].update(env_digest="../../home"),
    "a lock without environment": lambda p: p["roles"][0].update(env_digest=None),
    "a check that is no list of words": lambda p: p["roles"][0].update(check=["sh", 1]),
    "a health URL elsewhere": lambda p: p["roles"][0].update(health={"url": "http://10.0.0.1:80/"}),
    "a health URL with a header in it": lambda p: p["roles"][0].update(
        health={"url": "http://127.0.0.1:8001/\r\nX: y"}
    ),
    "a secret elsewhere": lambda p: p["roles"][0].update(secrets={"../../x": 1}),
    "a database elsewhere": lambda p: p["roles"][0].update(databases=["../secrets/password"]),
    "a role with a slash": lambda p: p["roles"][0].update(role="../x"),
    "configuration elsewhere": lambda p: p["config"]["files"].update({"../x": "e30="}),
    "configuration that was changed": lambda p: p["config"]["files"].update({"bot.json": "W10="}),
    "configuration that is no base64": lambda p: p["config"]["files"].update({"bot.json": "*"}),
    "a pin elsewhere": lambda p: p["pins"].append("../x"),
    "no roles": lambda p: p.update(roles={}),
    "a name of a unit file with a slash": lambda p: p["roles"][0].update(unit_files={"a/b.service": SHA}),
    "a unit file without sha256": lambda p: p["roles"][0].update(unit_files={"bot.service": SHA[:-1]}),
    "an environment without lock": lambda p: p["roles"][0].update(lock=None),
    "a NUL in a check": lambda p: p["roles"][0].update(check=["sh", "a\0b"]),
    "a size below nothing": lambda p: p["manifest"].append(["x", 0o444, SHA, -1]),
    "a dump elsewhere": lambda p: p["roles"][0]["dumps"][0].update(name="../x"),
    "a dump without a command": lambda p: p["roles"][0]["dumps"][0].update(dump=[]),
    "a dump that is never restored": lambda p: p["roles"][0]["dumps"][0].update(restore=[]),
    "a dump that is no list of words": lambda p: p["roles"][0]["dumps"][0].update(dump=["pg_dump", 1]),
    "a NUL in a restore": lambda p: p["roles"][0]["dumps"][0].update(restore=["a\0b"]),
    "a watch of another unit": lambda p: p["roles"][0].update(watch={"other.service": 5}),
    "a watch of no time": lambda p: p["roles"][0].update(watch={"bot.service": 0}),
    "a watch of more than an hour": lambda p: p["roles"][0].update(watch={"bot.service": 3601}),
    "a hook at no moment": lambda p: p["hooks"][0].update(moment="before_everything"),
    "a hook of another role": lambda p: p["hooks"][0].update(role="portal"),
    "a hook of root": lambda p: p["hooks"][0].update(account="root"),
    "a hook without a command": lambda p: p["hooks"][0].update(command=[]),
    "a hook without time": lambda p: p["hooks"][0].update(deadline=0),
    "a hook of more than an hour": lambda p: p["hooks"][0].update(deadline=3601),
    "a hook that is no list of words": lambda p: p["hooks"][0].update(command=["sh", 1]),
    "a NUL in a way back": lambda p: p["hooks"][0].update(back=["a\0b"]),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_plan_with_something_else_in_it_is_refused(tree: Tree, spoil: Spoil) -> None:
    plan = copy.deepcopy(wire(tree))
    spoil(plan)
    with pytest.raises(Refused) as refused:
        check_plan(plan, tree)
    assert refused.value.reason == "bad_request"


@pytest.mark.parametrize(
    ("path", "safe"),
    [("a", True), ("a/b.c", True), ("a//b", False), ("a/./b", False), ("..", False), ("a/\0", False), ("", False)],
)
def test_paths_are_plain(path: str, safe: bool) -> None:
    assert safe_path(path) is safe
