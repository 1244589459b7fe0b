"""Rendered configuration: a template of the tree with a server's own values merged in."""

import json
from collections.abc import Mapping
from typing import Any

from engine.artifacts.errors import BadTemplate


def render_file(name: str, template: bytes, overrides: Mapping[str, Any]) -> bytes:
    """One configuration file: a `.json` template with `overrides` merged in, any other as it is.

    Raises BadTemplate, also for overrides of a file that cannot take them.
    """
    if name.endswith(".json"):
        return render_config(template, overrides)
    if overrides:
        message = f"Values are set for {name!r}, but only .json files can take them."
        raise BadTemplate(message, hint="Remove the values, or make the configuration JSON.")
    return template


def render_config(template: bytes, overrides: Mapping[str, Any]) -> bytes:
    """The template, a JSON object, with `overrides` merged in: tables into tables, anything else replaced.

    The output has sorted keys and one form, so equal configuration has equal bytes. Raises BadTemplate.
    """
    merged = _merged(_parsed(template), overrides)
    return (json.dumps(merged, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _parsed(template: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(template.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadTemplate(
            f"The template is not proper JSON: {error}.", hint="Correct it at the place named."
        ) from error
    if not isinstance(parsed, dict):
        raise BadTemplate("The template is not a JSON object.", hint="Begin it with { and end it with }.")
    return parsed


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return table


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON number")


def _merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overrides.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(old, value)
        else:
            merged[key] = value
    return merged
