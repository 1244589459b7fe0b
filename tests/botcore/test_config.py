"""Settings: everything wrong is said at once, and nothing is guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from botcore import config, credentials
from botcore.errors import ConfigError

ROOT = Path(__file__).parents[2]
MINIMAL = {"channel": {"name": "rosey"}, "user": {"name": "RoseyBot"}}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORTAL_URL", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def write(folder: Path, document: object) -> Path:
    path = folder / "bot.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def problems(folder: Path, document: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.load(write(folder, document))
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("name", "channel", "user", "level", "port"),
    [
        ("config-test.json", "test-rosey", "RoseyBot-Test", "DEBUG", 8001),
        ("config-prod.json", "rosey", "RoseyBot", "INFO", 8000),
    ],
)
def test_the_shipped_files_are_good_and_wait_three_seconds(
    name: str, channel: str, user: str, level: str, port: int
) -> None:
    path = ROOT / "botcore" / name
    assert json.loads(path.read_text())["response_timeout"] == 3.0
    settings = config.load(path)
    assert settings.response_timeout == 3.0
    assert (settings.channel.name, settings.user.name) == (channel, user)
    assert (settings.log_level, settings.health.port) == (level, port)
    assert settings.warnings() == []


@pytest.mark.parametrize("name", ["config-test.json", "config-prod.json"])
def test_they_take_the_line_that_the_first_deployment_adds(tmp_path: Path, name: str) -> None:
    page = (ROOT / "docs/first-deployment.md").read_text(encoding="utf-8")
    line = page.split("```json\n")[1].split("```")[0]
    document = json.loads((ROOT / "botcore" / name).read_text()) | json.loads(f"{{{line}}}")
    assert config.load(write(tmp_path, document)).portal_url == "https://ops.example.org"


def test_three_seconds_is_the_default(tmp_path: Path) -> None:
    assert config.load(write(tmp_path, MINIMAL)).response_timeout == 3.0


@pytest.mark.parametrize(("seconds", "warned"), [(0.1, True), (0.99, True), (1.0, False), (3.0, False)])
def test_a_timeout_below_one_second_is_warned_about(tmp_path: Path, seconds: float, warned: bool) -> None:
    settings = config.load(write(tmp_path, {**MINIMAL, "response_timeout": seconds}))
    assert any("response_timeout" in warning for warning in settings.warnings()) is warned


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        {
            "domain": "${DOMAIN}",
            "channel": {"name": "bad name!"},
            "user": {"name": "RoseyBot", "password": "${CYTUBEBOT_PROD_PASSWORD}", "pasword": "x"},
            "health": {"port": "8000"},
            "timeout": 0.1,
            "log_level": "LOUD",
        },
    )
    for key in ("domain", "channel.name", "user.password", "user.pasword", "health.port", "timeout", "log_level"):
        assert any(problem.startswith(f"{key}:") for problem in found), key


def test_a_password_is_never_in_an_error_or_a_repr(tmp_path: Path) -> None:
    document: dict[str, Any] = {**MINIMAL, "user": {"name": "bad name!", "password": "hunter2"}}
    assert "hunter2" not in " ".join(problems(tmp_path, document))
    settings = config.load(write(tmp_path, {**MINIMAL, "user": {"name": "RoseyBot", "password": "hunter2"}}))
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(credentials.find(settings))


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("{", "not valid JSON"),
        ("[]", "must be a JSON object"),
        ('{"user": {}, "user": {}}', "given twice"),
        ({**MINIMAL, "unknown": 1}, "unknown: unknown key"),
        ({**MINIMAL, "retry": 5}, "reconnects for ever"),
        ({**MINIMAL, "response_timeout": 0}, "response_timeout"),
        ({**MINIMAL, "response_timeout": True}, "response_timeout"),
        ({**MINIMAL, "chat_log": "../x.log"}, "file name without a folder"),
        ({**MINIMAL, "domain": "cytu.be"}, "domain"),
        ({**MINIMAL, "domain": "https://user:pw@cytu.be"}, "domain"),
        ({"channel": {"name": "rosey"}}, "user: field required"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(tmp_path: Path, document: object, says: str) -> None:
    assert says in " ".join(problems(tmp_path, document))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path / "absent.json")


def test_the_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYTUBEBOT_HEALTH__PORT", "9000")
    monkeypatch.setenv("CYTUBEBOT_RESPONSE_TIMEOUT", "5")
    monkeypatch.setenv("PORTAL_URL", "https://portal.example")
    settings = config.load(write(tmp_path, {**MINIMAL, "portal_url": "https://other.example"}))
    assert (settings.health.port, settings.response_timeout, settings.portal_url) == (9000, 5, "https://portal.example")


def test_a_mistyped_variable_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYTUBEBOT_RESPONSETIMEOUT", "5")
    monkeypatch.setenv("CYTUBEBOT_DOMAIN", "${DOMAIN}")
    found = " ".join(problems(tmp_path, MINIMAL))
    assert "CYTUBEBOT_RESPONSETIMEOUT: unknown environment variable" in found
    assert "CYTUBEBOT_DOMAIN" in found


def test_secrets_come_from_files_credentials_and_settings_in_this_order(tmp_path: Path) -> None:
    directory = tmp_path / "credentials"
    directory.mkdir()
    (directory / "cytube-password").write_text("from-systemd\n")
    (directory / "portal-token").write_text("\n")
    file = tmp_path / "password"
    file.write_text("from-file\n")
    environ = {"CREDENTIALS_DIRECTORY": str(directory)}

    def password(user: dict[str, object]) -> str:
        settings = config.load(write(tmp_path, {**MINIMAL, "user": {"name": "RoseyBot", **user}}))
        found = credentials.find(settings, environ)
        assert found.portal_token is None, "an empty file means: not given"
        assert found.user_password is not None
        return found.user_password.get_secret_value()

    assert password({"password": "inline", "password_file": str(file)}) == "from-file"
    assert password({"password": "inline"}) == "from-systemd"
    (directory / "cytube-password").unlink()
    assert password({"password": "inline"}) == "inline"


def test_a_password_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    settings = config.load(write(tmp_path, {**MINIMAL, "user": {"name": "RoseyBot", "password_file": "/absent/file"}}))
    with pytest.raises(ConfigError, match="cannot be read"):
        credentials.find(settings, {})


def test_a_missing_password_is_said_unless_the_bot_is_a_guest(tmp_path: Path) -> None:
    settings = config.load(write(tmp_path, MINIMAL))
    assert "no password for RoseyBot" in str(credentials.missing(settings, credentials.find(settings, {})))
    guest = config.load(write(tmp_path, {**MINIMAL, "user": {"name": "Guesty", "guest": True}}))
    assert credentials.missing(guest, credentials.find(guest, {})) is None


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "bot.md").read_text(encoding="utf-8")
    for section, model in (
        ("", config.Settings),
        ("channel.", config.Channel),
        ("user.", config.User),
        ("health.", config.Health),
    ):
        for name in model.model_fields:
            if name not in {"channel", "user", "health"}:
                assert f"`{section}{name}`" in page, f"{section}{name} is not in docs/bot.md"
