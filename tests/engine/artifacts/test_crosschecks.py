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


def test_a_port_is_missing_wherever_a_role_asks_for_it() -> None:
    asks = {"health": {"url": "http://127.0.0.1:{port}/"}}
    raw = {
        "roles": {"plain": {}, "bot": asks, "portal": asks},
        "environments": {"test": {"roles": {"portal": {"port": 1}}}, "live": {"roles": {"bot": {"port": 1}}}},
    }
    assert told(raw) == {
        "environments.test.roles.bot.port": "is missing, while roles.bot.health.url asks for {port}",
        "environments.live.roles.portal.port": "is missing, while roles.portal.health.url asks for {port}",
    }


def test_two_roles_of_a_server_have_two_ports() -> None:
    ports = {"plain": {}, "bot": {"port": 1}, "monitoring": {"port": 2}, "portal": {"port": 1}}
    raw = {"roles": {role: {} for role in ports}, "environments": {"test": {"roles": ports}, "live": {}}}
    assert told(raw) == {"environments.test.roles.portal.port": "1 is the port of bot too, and both may share a server"}
