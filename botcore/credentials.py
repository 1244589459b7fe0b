"""Where the secrets are: systemd credentials, files, settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from botcore.config import Settings
from botcore.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets of one bot, masked in repr. None means: not given."""

    user_password: SecretStr | None
    channel_password: SecretStr | None
    portal_token: SecretStr | None


def find(settings: Settings, environ: Mapping[str, str] = os.environ) -> Credentials:
    """Look the secrets up.

    For each: the `…_file` setting, then `$CREDENTIALS_DIRECTORY/<name>` (systemd's LoadCredential), then the value
    in the settings or the environment. An empty file counts as "not given". Raises ConfigError for a file that
    cannot be read.
    """
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    problems: list[str] = []

    def look(name: str, file: Path | None, inline: SecretStr | None) -> SecretStr | None:
        for path, required in ((file, True), (Path(directory, name) if directory else None, False)):
            if path is None or (not required and not path.exists()):
                continue
            try:
                value = path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{name}: {path} cannot be read ({type(error).__name__})")
                continue
            if value:
                return SecretStr(value)
        return inline if inline and inline.get_secret_value() else None

    found = Credentials(
        user_password=look("cytube-password", settings.user.password_file, settings.user.password),
        channel_password=look("channel-password", settings.channel.password_file, settings.channel.password),
        portal_token=look("portal-token", settings.portal_token_file, None),
    )
    if problems:
        raise ConfigError(problems)
    return found


def missing(settings: Settings, credentials: Credentials) -> str | None:
    """The sentence to say when the account's password is not given and the bot is no guest."""
    if settings.user.guest or credentials.user_password is not None:
        return None
    return (
        f"no password for {settings.user.name}: give it as systemd credential cytube-password, as user.password_file "
        f"or as {'CYTUBEBOT_USER__PASSWORD'}; for a guest name set user.guest to true"
    )
