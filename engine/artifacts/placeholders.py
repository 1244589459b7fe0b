"""`{words}` in deploy.toml that stand for a value known only later."""

import re

CHECK = ("release", "config", "data")
URL = ("port",)

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)\}")


def placeholders(text: str) -> list[str]:
    """The names of the `{placeholders}` in a text, in order."""
    return _PLACEHOLDER.findall(text)
