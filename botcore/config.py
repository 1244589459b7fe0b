"""The bot's settings: a JSON file, overridden by the environment, checked all at once.

Environment variables are `CYTUBEBOT_` and the key, two underscores for a level: `CYTUBEBOT_USER__NAME`.
The portal's address is also `PORTAL_URL`. Secrets are looked up by `botcore.credentials`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from botcore.errors import ConfigError

ENV_PREFIX = "CYTUBEBOT_"
SHORT_TIMEOUT = 1.0
_PLACEHOLDER = re.compile(r"\$\{[^}]*\}?")

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", strip_whitespace=True)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Channel(_Section):
    """The room."""

    # CyTube: "1-30 characters in the set a-z, A-Z, 0-9, -, and _" (recording, scenario 24).
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,30}$")]
    password: SecretStr | None = None
    password_file: Annotated[Path, Field(strict=False)] | None = None


class User(_Section):
    """The account. A guest has a name and no password."""

    # CyTube: "Usernames must be 1-20 characters long and consist only of characters a-z, A-Z, 0-9, -, or _."
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,20}$")]
    password: SecretStr | None = None
    password_file: Annotated[Path, Field(strict=False)] | None = None
    guest: bool = False


class Health(_Section):
    """Where `/api/health`, `/livez` and `/metrics` listen."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)


class Settings(BaseSettings):
    """Everything that can be set. Durations are in seconds."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, strict=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__"
    )

    domain: Url = "https://cytu.be"
    channel: Channel
    user: User
    health: Health = Health()
    portal_url: Url | None = Field(default=None, validation_alias="portal_url")
    portal_token_file: Annotated[Path, Field(strict=False)] | None = None
    response_timeout: float = Field(default=3.0, gt=0, le=60, strict=False)
    restart_delay: float = Field(default=0.5, gt=0, le=300, strict=False)
    retry_delay: float = Field(default=30.0, gt=0, le=3600, strict=False)
    retry: Literal[-1] = -1
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "plain"] = "plain"
    data_dir: Annotated[Path, Field(strict=False)] = Path("data")
    chat_log: str | None = "chat.log"
    media_log: str | None = "media.log"

    @field_validator("response_timeout", "restart_delay", "retry_delay", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("must be a number of seconds")  # noqa: TRY004  pydantic collects ValueErrors
        return value

    @field_validator("chat_log", "media_log")
    @classmethod
    def _file_name(cls, value: str | None) -> str | None:
        if value is not None and (not value or Path(value).name != value):
            raise ValueError("must be a file name without a folder; it is written to data_dir/logs")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment overrides the file; there are no other sources."""
        return env_settings, init_settings

    def warnings(self) -> list[str]:
        """What works but will disappoint."""
        found = []
        if self.response_timeout < SHORT_TIMEOUT:
            found.append(
                f"response_timeout is {self.response_timeout:g} s: a login alone takes 0.27 s at 200 ms round trip and "
                "up to 2.6 s on a busy server, so connecting will fail at times. 3.0 is a good value."
            )
        if not self.domain.startswith("https://"):
            found.append(f"domain {self.domain} is not https: the password may travel in clear text.")
        return found


def load(path: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings.

    Raises ConfigError with every problem at once: unreadable file, unknown or repeated keys, wrong types,
    unexpanded `${…}` placeholders, unknown environment variables.
    """
    environ = os.environ if environ is None else environ
    document = _read(path)
    problems = [
        f"{where}: {value!r} was never expanded; nothing replaces ${{…}} here. "
        "Give secrets as systemd credential, as password_file or in the environment"
        for where, value in _placeholders(document, environ)
    ]
    problems += [f"{name}: unknown environment variable" for name in _unknown_variables(environ)]
    settings = None
    try:
        settings = Settings(**document)
    except ValidationError as error:
        problems += [_problem(details) for details in error.errors(include_url=False, include_input=False)]
    if problems or settings is None:
        raise ConfigError(problems)
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror})"]) from error
    except ValueError as error:
        raise ConfigError([f"{path}: is not valid JSON ({error})"]) from error
    if not isinstance(document, dict):
        raise ConfigError([f"{path}: must be a JSON object"])
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} is given twice")
        found[key] = value
    return found


def _placeholders(document: object, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from _placeholders_in("", document)
    for name, value in environ.items():
        if name.startswith(ENV_PREFIX) or name == "PORTAL_URL":
            yield from _placeholders_in(name, value)


def _placeholders_in(where: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if match := _PLACEHOLDER.search(value):
            yield where, match.group()
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _placeholders_in(f"{where}.{key}" if where else str(key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _placeholders_in(f"{where}[{index}]", inner)


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = {name.upper() for name in Settings.model_fields} - {"PORTAL_URL"}
    return sorted(
        name
        for name in environ
        if name.upper().startswith(ENV_PREFIX) and name.upper().removeprefix(ENV_PREFIX).split("__")[0] not in known
    )


def _problem(details: Any) -> str:
    where = ".".join(str(part) for part in details["loc"])
    if details["type"] == "extra_forbidden":
        return f"{where}: unknown key"
    if where == "retry":
        return "retry: the bot reconnects for ever, so only -1 is accepted; remove the key"
    message = str(details["msg"])
    return f"{where}: {message[0].lower()}{message[1:]}"
