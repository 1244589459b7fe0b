"""`{words}` in deploy.toml that stand for a value known only later."""

import re
from collections.abc import Iterable, Mapping

CHECK = ("release", "config", "data")
URL = ("port",)

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)\}")


def placeholders(text: str) -> list[str]:
    """The names of the `{placeholders}` in a text, in order."""
    return _PLACEHOLDER.findall(text)


def expanded(words: Iterable[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """The words with their `{placeholders}` replaced, once: a value is never looked at again."""
    return tuple(_PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), word) for word in words)
