"""The snapshot as a value: what is read from a stored document, and what is written back, byte for byte."""

import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from deployments.lifecycle import Kind
from deployments.snapshot import SealedPolicy, SealedTarget, Snapshot, canonical, differences, seal
from engine.errors import InvalidRequest

RECORDED = Path(__file__).resolve().parents[1] / "data" / "recorded-installation" / "state.tar.xz"
FULL: dict[str, Any] = {
    "format": 1,
    "kind": "rollback",
    "environment": "production",
    "application": "dice-bot",
    "release": {"identifier": "1.0.0-a", "version": "1.0.0", "manifest_digest": "m", "artifact_digest": "a"},
    "configuration": {"digest": "c", "files": {"dice.json": "{}\n", "ö.json": "“"}},
    "targets": [
        {
            "server": name,
            "host": f"{name}.invalid",
            "port": 2222,
            "user": "rosey",
            "host_key": f"ssh-ed25519 {name}",
            "roles": ["bot"],
            "unit_files": {"dice.service": "[Unit]\n"},
            "secrets": {"password": 3},
            "base": base,
        }
        for name, base in (("one", None), ("two", {"release": "0.9.0-b", "manifest_digest": "n"}))
    ],
    "plan": {"steps": ["stage", "verify"], "deadlines": {"stage": 120.0, "verify": 40}, "keep": 5},
    "policy": {
        "signed_approvals": True,
        "approvals_required": 2,
        "on_failure": "revert every server",
        "bake_seconds": 300,
        "bake_action": "rollback",
    },
    "consent": {"deployment": 7, "seal": "s"},
}


def test_a_recorded_installation_keeps_its_canonical_bytes(tmp_path: Path) -> None:
    with tarfile.open(RECORDED) as recorded:
        recorded.extractall(tmp_path, filter="data")
    with sqlite3.connect(tmp_path / "portal.sqlite3") as database:
        rows = database.execute("SELECT snapshot, seal FROM deployments_deployment").fetchall()
    assert len(rows) == 5
    for text, sealed in rows:
        document = json.loads(text)
        again = Snapshot.from_json(document)
        assert canonical(again.to_json()) == canonical(document)
        assert again.seal == seal(document) == sealed


@pytest.mark.parametrize("left_out", [None, *FULL, "signed_approvals", "bake_action"])
def test_what_a_document_leaves_out_is_left_out_again(left_out: str | None) -> None:
    document = {key: value for key, value in FULL.items() if key != left_out}
    if left_out not in FULL:
        document["policy"] = {key: value for key, value in FULL["policy"].items() if key != left_out}
    assert canonical(Snapshot.from_json(document).to_json()) == canonical(document)


def test_a_value_cannot_be_changed() -> None:
    value = Snapshot.from_json(FULL)
    with pytest.raises(ValidationError, match="frozen"):
        value.policy.approvals_required = 0
    assert value.kind == Kind.ROLLBACK
    assert value.target("two").base is not None
    assert value.configuration.contents["ö.json"] == "“".encode()


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"policy": {"approvals_required": "many"}}, "policy.approvals_required"),
        ({"targets": [{"host": "nobody.invalid"}]}, "targets.0.server"),
        ({"kind": "joke"}, "kind"),
    ],
)
def test_a_document_that_is_no_snapshot_is_refused_by_name(document: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequest, match=where) as refused:
        Snapshot.from_json(document)
    assert refused.value.reason == "snapshot_unreadable"


def test_a_server_that_is_not_named_is_not_guessed() -> None:
    with pytest.raises(InvalidRequest, match="names no server three"):
        Snapshot.from_json(FULL).target("three")


def test_every_word_that_differs_is_told() -> None:
    value = Snapshot.from_json(FULL)
    assert differences(value, value) == []
    policy = SealedPolicy(**FULL["policy"] | {"bake_seconds": 1})
    assert differences(value, value.model_copy(update={"policy": policy})) == ["The policy changed: bake_seconds."]
    turned = value.model_copy(update={"targets": value.targets[::-1]})
    assert differences(value, turned) == ["The order of the servers changed."]
    fewer = value.model_copy(update={"targets": value.targets[:1], "application": "other"})
    assert differences(value, fewer) == ["The application changed.", "Server two was removed."]
    assert differences(fewer, value) == ["The application changed.", "Server two was added."]
    assert differences(value, value.model_copy(update={"consent": None})) == [
        "The success that it goes back to changed."
    ]
    moved = value.targets[1].model_copy(update={"host": "elsewhere", "base": None})
    assert differences(value, value.model_copy(update={"targets": (value.targets[0], moved)})) == [
        "Another release runs on two now.",
        "Server two changed: host.",
    ]


@pytest.mark.parametrize(
    ("roles", "policy", "groups"),
    [
        ([], {}, []),
        (["bot"], {}, [[0]]),
        (["bot"] * 3, {}, [[0], [1, 2]]),
        (["bot"] * 12, {}, [[0], list(range(1, 11)), [11]]),
        (["bot"] * 4, {"batch": 1}, [[0], [1], [2], [3]]),
        (["bot"] * 4, {"batch": 2}, [[0], [1, 2], [3]]),
        (["bot", "bot", "portal"], {}, [[0], [1], [2]]),
        (["portal", "portal"], {}, [[0], [1]]),
    ],
)
def test_servers_are_worked_on_in_rounds(roles: list[str], policy: dict[str, int], groups: list[list[int]]) -> None:
    servers = tuple(SealedTarget(server=str(number), roles=(role,)) for number, role in enumerate(roles))
    value = Snapshot(targets=servers, policy=SealedPolicy.model_validate(policy))
    assert [[int(target.server) for target in group] for group in value.rounds] == groups


def test_a_policy_that_says_nothing_of_batches_keeps_its_words() -> None:
    assert "batch" not in Snapshot.from_json(FULL).to_json()["policy"]


@pytest.mark.parametrize(
    ("servers", "policy", "words"),
    [
        (1, {}, ""),
        (2, {}, "a first, then the others, one after the other"),
        (4, {"batch": 1}, "a first, then the others, one after the other"),
        (
            4,
            {"batch": 2, "max_failures": 1},
            "a first, then the others, 2 at a time; 1 of them may fail and stay as they are",
        ),
        (4, {}, "a first, then the others, 3 at a time"),
    ],
)
def test_the_course_of_a_deployment_in_words(servers: int, policy: dict[str, int], words: str) -> None:
    targets = tuple(SealedTarget(server=name, roles=("bot",)) for name in "abcd"[:servers])
    assert Snapshot(targets=targets, policy=SealedPolicy.model_validate(policy)).course == words
