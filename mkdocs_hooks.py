"""For `make docs`: the version in the site's name, and command blocks as readers need them."""

import re
from pathlib import Path
from typing import Any

_MARK = re.compile(r"^```(\w+) (?:run|example)$", re.MULTILINE)

_HERE = Path(__file__).parent


def on_config(config: Any) -> Any:
    """Say which version this documents."""
    config["site_name"] += f" {(_HERE / 'VERSION').read_text().strip()}"
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What marks a block as executed or as an example is for tests; the site's parser knows its language alone."""
    return _MARK.sub(r"```\1", markdown)
