"""Masking: whatever of a secret a text may hold."""

import pytest

from deployments.core.masking import Mask

PEM = "-----BEGIN KEY-----\r\n  MIGHAgEAMBMGByqGSM49AgEG\r\nCCqGSM49\nab=\n-----END KEY-----\n"


@pytest.mark.parametrize(
    ("value", "text", "masked"),
    [
        (PEM, PEM.strip(), "[secret K]"),
        (PEM, "key: MIGHAgEAMBMGByqGSM49AgEG", "key: [secret K]"),
        (PEM, "CCqGSM49", "[secret K]"),
        (PEM, "ab=", "ab="),  # too short to be told from anything else
        ("hunter22\n", "password hunter22", "password [secret K]"),
        ("four\n", "four", "[secret K]"),
        ("abc\n", "abc", "abc"),
    ],
)
def test_a_secret_is_masked_by_its_lines_and_without_the_white_space_around_it(
    value: str, text: str, masked: str
) -> None:
    assert Mask([("K", value)])(text) == masked
    assert Mask([("K", value)]).facts({"a": [text]}) == {"a": [masked]}


def test_the_beginning_of_a_line_of_a_secret_that_was_cut_off_is_masked() -> None:
    assert Mask([("K", PEM)]).cut_off("x MIGHAgEAMBMG") == "x [secret K]"
