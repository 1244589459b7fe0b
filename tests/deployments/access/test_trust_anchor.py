"""What this machine holds of consent by itself: files that only ever become stricter, and only what is whole counts."""

import json
import stat
from pathlib import Path

import pytest

from deployments.access.trust_anchor import Anchored, anchor, anchored, distrust, in_use, trust, trusted_keys
from engine.passkeys import PassKey
from engine.ssh.keys import generate_key
from tests.deployments.access.authenticator import SoftPasskey

pytestmark = pytest.mark.usefixtures("state_dir")


def public() -> str:
    return str(generate_key()[1])


def test_keys_count_for_their_person_until_they_are_distrusted() -> None:
    first, second, passkey = public(), public(), str(PassKey(SoftPasskey().public_key))
    for person, key in (("ann", first), ("ann", passkey), ("ben", second)):
        trust(person, key)
    assert set(trusted_keys("ann")) == {first, passkey}
    assert trusted_keys("ben") == [second]
    assert trusted_keys("cat") == []
    assert distrust(first)
    assert (trusted_keys("ann"), trusted_keys("ben")) == ([passkey], [second])
    assert distrust(passkey)
    assert not distrust(passkey), "it counts no more"
    assert (trusted_keys("ann"), trusted_keys("ben")) == ([], [second])


def test_ssh_keys_and_passkeys_stand_in_files_that_their_account_alone_reads(state_dir: Path) -> None:
    key, passkey = public(), str(PassKey(SoftPasskey().public_key))
    trust("ann", key)
    trust("ann", passkey)
    signers, passkeys = state_dir / "allowed_signers", state_dir / "allowed_passkeys"
    assert signers.read_text() == f'ann namespaces="approval@cytube-ops" {key}\n'
    assert passkeys.read_text() == f"ann {passkey}\n"
    assert {stat.S_IMODE(each.stat().st_mode) for each in (signers, passkeys)} == {0o600}
    assert sorted(each.name for each in state_dir.iterdir()) == ["allowed_passkeys", "allowed_signers"]


@pytest.mark.parametrize("line", ["", "ann", "ann {mark}", 'ann namespaces="git" {key}', "ann {key}", "ann rubbish x"])
def test_what_was_written_by_hand_and_is_no_key_of_approvals_counts_for_nothing(state_dir: Path, line: str) -> None:
    good = public()
    trust("ben", good)
    file = state_dir / "allowed_signers"
    mark = 'namespaces="approval@cytube-ops" ssh-ed25519 rubbish'
    file.write_text(f"{line.format(mark=mark, key=public())}\n{file.read_text()}")
    assert trusted_keys("ann") == []
    assert trusted_keys("ben") == [good]


def test_where_no_server_was_ever_named_nothing_is_held_to_anything() -> None:
    assert not in_use()
    assert anchored([public()]) == []


def test_a_server_is_known_by_its_key_and_every_other_takes_one_signature(state_dir: Path) -> None:
    known, free = public(), public()
    anchor({known: Anchored(2, ("seal",)), free: Anchored(0)})
    assert in_use()
    assert anchored([f"{known} a comment", free, public(), "rubbish"]) == [
        Anchored(2, ("seal",)),
        Anchored(0),
        Anchored(1),
        Anchored(1),
    ]
    held = json.loads((state_dir / "anchored.json").read_text())
    assert sorted(each["approvals"] for each in held.values()) == [0, 2]


@pytest.mark.parametrize(
    ("before", "now", "held"),
    [
        (Anchored(1, ("old",)), Anchored(2, ("new",)), Anchored(2, ("old",))),
        (Anchored(2, ("old",)), Anchored(1, ("new",)), Anchored(2, ("old",))),
        (Anchored(2, ("old",)), Anchored(0, ()), Anchored(2, ("old",))),
        (Anchored(0, ("old",)), Anchored(1, ("new",)), Anchored(1, ("new",))),
    ],
)
def test_what_is_held_becomes_stricter_and_never_looser(before: Anchored, now: Anchored, held: Anchored) -> None:
    server, other = public(), public()
    anchor({server: before, other: Anchored(3)})
    anchor({server: now})
    assert anchored([server, other]) == [held, Anchored(3)]
