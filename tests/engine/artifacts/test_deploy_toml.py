"""deploy.toml: what is accepted, and how every mistake is explained."""

import tomllib
from typing import Any

import pytest

from engine.artifacts.deploy_toml import DeployToml, examine, parse_deploy_toml
from engine.artifacts.errors import BadDeployToml
from engine.host.agent.limits import MOMENTS
from tests.engine.artifacts.projects import DEPLOY_TOML

FULL = b"""
name = "rosey-bot"
python = "3.11"
include = ["botcore", "docs/*.md"]
exclude = ["**/tests/**"]
keep = 3
[roles.bot]
units = ["systemd/cytube-bot.service"]
lock = "requirements/bot.txt"
check = ["python", "-m", "botcore", "--config", "{config}/bot.json", "--check"]
secrets = ["cytube-password"]
databases = ["bot.db"]
identity = ["domain", "user.name"]
identity_file = "bot.json"
[roles.bot.health]
url = "http://127.0.0.1:{port}/api/health"
connected = "connected"
samples = 5
interval = 1
timeout = 20
[roles.portal]
units = ["systemd/cytube-web.service", "systemd/cytube-web.socket"]
lock = "requirements/base.txt"
health.url = "http://127.0.0.1:8080/healthz"
[roles.monitoring]
[environments.test.roles.bot]
port = 8001
[environments.test.config]
"bot.json" = "botcore/config-test.json"
[environments.production.roles.bot]
port = 8000
[environments.production.config]
"bot.json" = "botcore/config-prod.json"
[deadlines]
verify = 60
"""

SMALL = b"""
name = "my-bot"
python = "3.11"
[roles.bot]
[environments.test]
"""


def test_everything_can_be_said_for_any_mix_of_roles() -> None:
    deploy = parse_deploy_toml(FULL)
    assert list(deploy.roles) == ["bot", "portal", "monitoring"]
    assert deploy.role("bot").check[-2:] == ("{config}/bot.json", "--check")
    assert deploy.locks() == ("requirements/base.txt", "requirements/bot.txt")
    assert deploy.locks(["bot", "monitoring"]) == ("requirements/bot.txt",)
    assert deploy.deadlines.verify == 60
    assert deploy.named_files() == {
        "systemd/cytube-bot.service": "roles.bot.units",
        "requirements/bot.txt": "roles.bot.lock",
        "systemd/cytube-web.service": "roles.portal.units",
        "systemd/cytube-web.socket": "roles.portal.units",
        "requirements/base.txt": "roles.portal.lock",
        "botcore/config-test.json": 'environments.test.config."bot.json"',
        "botcore/config-prod.json": 'environments.production.config."bot.json"',
    }


def test_defaults_are_those_of_the_documentation() -> None:
    deploy = parse_deploy_toml(SMALL)
    assert (deploy.include, deploy.exclude, deploy.keep) == (("**",), (), 5)
    assert deploy.deadlines.model_dump() == {
        "preflight": 15, "stage": 120, "dependencies": 180, "backup": 60, "activate": 10, "restart": 40, "verify": 40,
    }  # fmt: skip
    assert deploy.role("bot").health is None
    assert deploy.health("test", "bot") is None


def test_the_health_url_gets_the_port_of_the_environment() -> None:
    deploy = parse_deploy_toml(FULL)
    urls = {name: deploy.health(name, "bot") for name in ("test", "production")}
    assert {name: health.url for name, health in urls.items() if health} == {
        "test": "http://127.0.0.1:8001/api/health",
        "production": "http://127.0.0.1:8000/api/health",
    }
    portal = deploy.health("test", "portal")
    assert portal is not None
    assert (portal.url, portal.samples, portal.interval, portal.timeout) == (
        "http://127.0.0.1:8080/healthz",
        3,
        0.1,
        30,
    )


def test_asking_for_an_unknown_environment_or_role_says_what_there_is() -> None:
    deploy = parse_deploy_toml(FULL)
    with pytest.raises(
        BadDeployToml, match=r"no environment 'staging', only production, test.*\[environments.staging\]"
    ):
        deploy.health("staging", "bot")
    with pytest.raises(BadDeployToml, match="no role 'cache', only bot, monitoring, portal"):
        deploy.role("cache")


# key of the mistake; what replaces it in SMALL (parsed); a part of the sentence; a part of the hint
MISTAKES: list[tuple[str, dict[str, Any], str, str]] = [
    ("name", {"name": "Tea Bot"}, "'Tea Bot' is not allowed here", "lower-case letters, digits and dashes"),
    ("name", {"name": "x"}, "'x' is not allowed here", "2 to 31"),
    ("name", {"name": "tea-bot\n"}, "not allowed", "2 to 31"),
    ("name", {"name": None}, "is missing", "/opt/<name>"),
    ("python", {"python": 3.11}, "must be a text in quotes, not the number 3.11", "in quotes"),
    ("python", {"python": "3.9"}, "'3.9' is not allowed here", "'3.11' or newer"),
    ("python", {"python": "3.11.2"}, "not allowed", "'3.11' or newer"),
    ("include", {"include": "tea"}, "must be a list in square brackets, not the text 'tea'", "Paths and globs"),
    ("include", {"include": []}, "must not be empty", "Paths and globs"),
    ("include[0]", {"include": [5]}, "must be a text in quotes, not the number 5", "Paths and globs"),
    ("keep", {"keep": True}, "a whole number, not the truth value true", "1 to 100"),
    ("keep", {"keep": 0}, "0 is not allowed: input should be greater than or equal to 1", "1 to 100"),
    ("roles", {"roles": {}}, "must not be empty", "[roles.bot]"),
    ("roles", {"roles": None}, "is missing", "[roles.bot]"),
    ("roles.bto", {"roles.bto": {}}, "'bto' is not one of 'bot', 'portal' or 'monitoring'", "One table per role"),
    ("roles.bot", {"roles.bot": 1}, "must be a table, not the number 1", ""),
    ("roles.bot.unit", {"roles.bot.unit": "x"}, "not known", "Did you mean 'units'?"),
    ("roles.bot.zebra", {"roles.bot.zebra": "x"}, "not known", "Known here: check, databases"),
    ("roles.bot.units[0]", {"roles.bot.units": ["tea.conf"]}, "'tea.conf' is not allowed", "systemd unit files"),
    ("roles.bot.units[0]", {"roles.bot.units": ["tea@.service"]}, "not allowed", "systemd unit files"),
    ("roles.bot.lock", {"roles.bot.lock": "../lock.txt"}, "leads out of the tree", "below the directory"),
    ("roles.bot.lock", {"roles.bot.lock": "/etc/passwd"}, "is absolute", "below the directory"),
    ("roles.bot.lock", {"roles.bot.lock": "a//b"}, "has an empty or '.' part", "below the directory"),
    ("roles.bot.databases[0]", {"roles.bot.databases": ["../../x.db"]}, "leads out", "below the directory"),
    ("roles.bot.secrets[0]", {"roles.bot.secrets": ["A/B"]}, "'A/B' is not allowed here", "set_secret"),
    ("roles.bot.check[1]", {"roles.bot.check": ["python", "a\nb"]}, "not allowed", "list of words"),
    ("roles.bot.check", {"roles.bot.check": ["x", "{home}/y"]}, "{home} stands for nothing", "{release}, {config}"),
    ("roles.bot.check", {"roles.bot.check": ["--c={config}/y"]}, "wants the configuration file 'y'", "test.config"),
    (
        "roles.bot.check",
        {"roles.bot.check": ["{config}/a.json"]},
        "wants the configuration file 'a.json'",
        "test.config",
    ),
    ("roles.bot.identity_file", {"roles.bot.identity": ["user"]}, "is missing", "rendered configuration file"),
    ("roles.bot.health.url", {"roles.bot.health": {}}, "is missing", "for example"),
    ("roles.bot.health.url", {"roles.bot.health": {"url": "http://example.org/"}}, "not allowed", "the server itself"),
    (
        "roles.bot.health.url",
        {"roles.bot.health": {"url": "http://127.0.0.1:80/`id`\n"}},
        "not allowed",
        "the server itself",
    ),
    ("roles.bot.watch", {"roles.bot.watch": 0}, "greater than or equal to 1", ""),
    (
        "roles.bot.watch",
        {"roles.bot": {"units": ["systemd/my-bot.service"], "watch": 40}},
        "40 s does not fit into deadlines.verify, 40 s",
        "Lower the one",
    ),
    (
        "roles.bot.watch_units",
        {"roles.bot.watch_units": {"other.service": 20}},
        "'other.service' is no unit of the role",
        "without its directory",
    ),
    (
        "roles.bot.health.timeout",
        {"roles.bot.health": {"url": "http://127.0.0.1:80/", "timeout": 41}},
        "41 s is longer than deadlines.verify, 40 s",
        "Lower the one",
    ),
    (
        "roles.bot.health.timeout",
        {"roles.bot.health": {"url": "http://127.0.0.1:80/", "samples": 10, "interval": 5}},
        "too short for the samples, which alone take 45 s",
        "fewer samples",
    ),
    (
        "environments.test.roles.bot.port",
        {"roles.bot.health": {"url": "http://127.0.0.1:{port}/"}},
        "is missing, while roles.bot.health.url asks for {port}",
        "[environments.test.roles.bot]",
    ),
    ("environments.test.roles.bot.port", {"environments.test.roles": {"bot": {"port": 70000}}}, "70000", "1 to 65535"),
    (
        "environments.test.roles.portal",
        {"environments.test.roles": {"portal": {}}},
        "no [roles.portal]",
        "Add that table",
    ),
    ("environments", {"environments": {}}, "must not be empty", "[environments.test]"),
    ("environments.Test", {"environments.Test": {}}, "the name 'Test' is not allowed", "lower-case letters"),
    ('environments.test.config."../x"', {"environments.test.config": {"../x": "y"}}, "not allowed", "letters, digits"),
    ('environments.test.config."x.json"', {"environments.test.config": {"x.json": "../y"}}, "leads out", "below"),
    ("deadlines.verfy", {"deadlines": {"verfy": 1}}, "not known", "Did you mean 'verify'?"),
    ("deadlines.stage", {"deadlines": {"stage": "1m"}}, "must be a number, not the text '1m'", "Seconds for sending"),
    ("deadlines.stage", {"deadlines": {"stage": 0}}, "greater than 0", "Seconds for sending"),
    ("nam", {"nam": "x"}, "not known", "Did you mean 'name'?"),
]


@pytest.mark.parametrize(("key", "change", "wrong", "hint"), MISTAKES, ids=[f"{m[0]}-{m[2]}" for m in MISTAKES])
def test_a_mistake_is_told_with_key_reason_and_remedy(key: str, change: dict[str, Any], wrong: str, hint: str) -> None:
    document = tomllib.loads(SMALL.decode())
    for path, value in change.items():
        _put(document, path.split("."), value)
    deploy, problems = examine(_toml(document))
    assert deploy is None
    matching = [problem for problem in problems if problem.key == key and wrong in problem.wrong]
    assert matching, f"told instead: {[str(problem) for problem in problems]}"
    assert hint in matching[0].hint
    assert len(problems) == 1, f"one mistake, told {len(problems)} times: {[str(problem) for problem in problems]}"


def test_every_mistake_is_told_at_once() -> None:
    content = b"""
    nam = "x"
    python = 3.11
    [roles.bot]
    units = ["/etc/passwd.service", "a/x.service", "b/x.service"]
    lock = "a/same.txt"
    identity = ["user"]
    health.url = "http://127.0.0.1:{port}/"
    [roles.portal]
    lock = "b/same.txt"
    [environments.test.roles]
    bot.port = 1
    portal.port = 1
    """
    with pytest.raises(BadDeployToml) as caught:
        parse_deploy_toml(content)
    assert sorted(problem.key for problem in caught.value.problems) == [
        "environments.test.roles.portal.port",
        "nam",
        "name",
        "python",
        "roles.bot.identity_file",
        "roles.bot.units",
        "roles.bot.units[0]",
        "roles.portal.lock",
    ]
    assert caught.value.reason == "bad_deploy_toml"
    assert "8 mistakes" in str(caught.value)
    assert all(problem.wrong in str(caught.value) for problem in caught.value.problems)


@pytest.mark.parametrize("content", [b"name = ", b'name = "a"\nname = "b"', b"\xff\xfe", b"[roles.bot]\n[roles.bot]"])
def test_broken_toml_is_one_mistake_with_its_place(content: bytes) -> None:
    deploy, problems = examine(content)
    assert deploy is None
    assert [problem.key for problem in problems] == ["deploy.toml"]
    assert "is not valid TOML" in problems[0].wrong


@pytest.mark.parametrize("value", ["1", "[]", '"x"', "{}", "2024-01-01", "[[]]", "true"])
@pytest.mark.parametrize("key", [*DeployToml.model_fields, "roles.bot", "roles.bot.health", "environments.test.config"])
def test_a_value_of_the_wrong_shape_never_escapes_as_another_error(key: str, value: str) -> None:
    deploy, problems = examine(f"{key} = {value}\n".encode())
    assert deploy is None
    assert problems


def _put(document: dict[str, Any], path: list[str], value: object) -> None:
    for key in path[:-1]:
        document = document.setdefault(key, {})
    if value is None:
        del document[path[-1]]
    else:
        document[path[-1]] = value


def _toml(document: dict[str, Any]) -> bytes:
    return "".join(f"{key} = {_inline(value)}\n" for key, value in document.items()).encode()


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)} = {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


HOOK = '\n[hooks.after_activate]\ncommand = ["python", "-m", "x"]\n'


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[hooks.after_activate]\n", "hooks.after_activate.command"),
        ("[hooks.after_activate]\ncommand = []\n", "hooks.after_activate.command"),
        ('[hooks.after_activate]\ncommand = "python -m x"\n', "hooks.after_activate.command"),
        ('[hooks.before_everything]\ncommand = ["x"]\n', "hooks.before_everything"),
        (HOOK + "deadline = 0\n", "hooks.after_activate.deadline"),
        (HOOK + "deadline = 7200\n", "hooks.after_activate.deadline"),
        (HOOK + 'account = "root"\n', "hooks.after_activate.account"),
        (HOOK + 'role = "portal"\n', "hooks.after_activate.role"),
        (HOOK + 'back = ["x", "{secrets}"]\n', "hooks.after_activate.back"),
        ('[hooks.after_success]\ncommand = ["x"]\nback = ["y"]\n', "hooks.after_success.back"),
    ],
)
def test_a_hook_that_says_too_little_or_too_much_is_named_by_its_key(text: str, key: str) -> None:
    deploy, problems = examine((DEPLOY_TOML + text).encode())
    assert deploy is None
    assert [problem.key for problem in problems] == [key]


def test_a_hook_has_a_role_a_deadline_and_an_account() -> None:
    [(moment, role, hook)] = parse_deploy_toml((DEPLOY_TOML + HOOK).encode()).hooks_in_order()
    assert (moment, role, hook.deadline, hook.account) == ("after_activate", "bot", 60, "application")
    assert parse_deploy_toml(DEPLOY_TOML.encode()).hooks_in_order() == []


def test_hooks_come_in_the_order_in_which_they_run() -> None:
    late = "".join(HOOK.replace("after_activate", moment) for moment in reversed(MOMENTS))
    found = parse_deploy_toml((DEPLOY_TOML + late).encode()).hooks_in_order()
    assert tuple(moment for moment, *_ in found) == MOMENTS
