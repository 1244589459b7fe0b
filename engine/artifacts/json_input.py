"""JSON that a person has typed: read strictly, and every mistake with its line."""

import json
from collections.abc import Sequence
from typing import Any

import yaml

from engine.artifacts.formats import read_json


def read_typed(text: str) -> Any:
    """The value. Raises ValueError with a sentence that names the line, where one can be named."""
    try:
        return read_json(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"Line {error.lineno}: this is no JSON: {error.msg} (column {error.colno}).") from error
    except ValueError as error:
        line = _line_of_second(_composed(text))
        raise ValueError(f"Line {line}: {error}." if line else f"{error}.") from error
    except RecursionError as error:
        raise ValueError("This is nested too deeply.") from error


def line_of(text: str, place: Sequence[str | int]) -> int:
    """The line, from 1, of the key that `place` leads to, or of the last one on the way; 0 when that is unknown."""
    node, line = _composed(text), 0
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            pair = (node.value[part], node.value[part])
        else:
            pair = None
        if pair is None:
            return line
        line, node = pair[0].start_mark.line + 1, pair[1]
    return line


def _composed(text: str) -> yaml.Node | None:
    """The text with the place of everything in it: JSON is YAML, but for tabs."""
    try:
        return yaml.compose(text.replace("\t", " "), yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return None


def _line_of_second(node: yaml.Node | None) -> int:
    """Where a key stands for the second time."""
    if isinstance(node, yaml.SequenceNode):
        return next(filter(None, map(_line_of_second, node.value)), 0)
    if not isinstance(node, yaml.MappingNode):
        return 0
    seen: set[str] = set()
    for key, value in node.value:
        if key.value in seen:
            return int(key.start_mark.line) + 1
        seen.add(key.value)
        if inner := _line_of_second(value):
            return inner
    return 0
