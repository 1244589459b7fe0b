"""Audit events in words."""

from typing import Any

import pytest

from deployments.admin.event_display import gist


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"version": 3}, "version 3"),
        ({"release": "1.0.0-abc", "version": "1.0.0"}, "1.0.0-abc"),
        (
            {"changes": [{"what": "user rosey", "before": "no such user", "after": "home /home/rosey"}, "reloaded"]},
            "user rosey: home /home/rosey; reloaded",
        ),
        ({"changes": {"bake_seconds": [300, 60]}}, "bake_seconds: 300 → 60"),
        ({"changes": {"dice.json": [{"on": None}, {"on": True}]}}, 'dice.json: {"on": null} → {"on": true}'),
        ({"approvals": "1 of 2", "comment": "", "seal": "x"}, "1 of 2 approvals"),
        ({"approvals": "2 of 2", "comment": "Fine."}, "Fine."),
        ({"path": "somewhere"}, ""),
    ],
)
def test_the_most_telling_part_is_a_sentence_and_never_raw_data(data: dict[str, Any], said: str) -> None:
    assert gist(data) == said
