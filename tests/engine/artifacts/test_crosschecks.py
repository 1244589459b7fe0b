"""What keys demand of each other is looked at in every role, whatever the one before leaves out."""

from typing import Any

from engine.artifacts.crosschecks import problems

RAW: dict[str, Any] = {
    "roles": {
        "first": {"units": ["a.service"]},
        "second": {
            "units": ["b.service"],
            "lock": "locks/all.txt",
            "health": {"url": "http://127.0.0.1:80/", "timeout": 41},
            "identity": ["user"],
            "identity_file": "bot.txt",
        },
        "third": {
            "units": ["c.service"],
            "lock": "other/all.txt",
            "health": {"url": "http://127.0.0.1:81/", "samples": 31, "interval": 1},
            "identity_file": "bot.json",
        },
    },
    "environments": {"test": {"config": {"bot.txt": "t", "bot.json": "j"}}},
}


def told(raw: dict[str, Any]) -> dict[str, str]:
    return {problem.key: problem.wrong for problem in problems(raw)}


def test_each_role_is_told_of_its_own_mistakes() -> None:
    assert told(RAW) == {
        "roles.second.health.timeout": "41 s is longer than deadlines.verify, 40 s",
        "roles.second.identity_file": "'bot.txt' is not JSON, so keys cannot be looked up in it",
        "roles.third.lock": "'other/all.txt' and 'locks/all.txt' share the name 'all', under which their wheels would "
        "be kept",
        "roles.third.health.timeout": "30 s is too short for the samples, which alone take 30 s",
        "roles.third.identity_file": "is of no use without roles.third.identity",
    }


def test_what_has_the_wrong_shape_is_told_elsewhere_and_hides_nothing() -> None:
    raw = {**RAW, "roles": {"broken": "no table", "odd": {"units": "x", "lock": 7, "identity_file": 8}, **RAW["roles"]}}
    assert {key: wrong for key, wrong in told(raw).items() if ".odd." not in key} == told(RAW)
