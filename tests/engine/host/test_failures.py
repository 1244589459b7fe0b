"""Whatever goes wrong in a step becomes a stable word and a sentence."""

import errno

import pytest

from engine.host.agent.errors import Hangup, Refused, StepFailed, as_failure


@pytest.mark.parametrize(
    ("error", "reason", "sentence"),
    [
        (Refused("no_sudo", "No.", user="rosey"), "no_sudo", "No."),
        (Hangup("3 of 7 bytes"), "link_lost", "The files did not arrive: 3 of 7 bytes."),
        (
            OSError(errno.ENOSPC, "No space left on device", "/opt/x"),
            "disk_full",
            "The disk of this server was full in the step stage. Free some space.",
        ),
        (
            OSError(errno.EDQUOT, "Disk quota exceeded"),
            "disk_full",
            "The disk of this server was full in the step stage. Free some space.",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/opt/x"),
            "os_error",
            "The step stage failed: Permission denied (/opt/x).",
        ),
        (KeyError("x"), "agent_error", "The step stage failed in an unforeseen way: KeyError('x')."),
    ],
)
def test_what_went_wrong_is_told(error: Exception, reason: str, sentence: str) -> None:
    failure = as_failure(error, "stage")
    assert (type(failure), failure.reason, str(failure)) == (StepFailed, reason, sentence)
    assert failure.facts == ({"user": "rosey"} if reason == "no_sudo" else {})


def test_a_step_that_failed_by_itself_is_told_as_it_is() -> None:
    failed = StepFailed("rehearsed", "x")
    assert as_failure(failed, "stage") is failed
