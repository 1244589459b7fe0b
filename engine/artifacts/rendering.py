"""Rendered configuration: a template of the tree with a server's own values merged in."""

from collections.abc import Mapping
from typing import Any

from engine.artifacts import config_schema
from engine.artifacts.errors import BadConfiguration, BadTemplate
from engine.artifacts.formats import Format, format_of

_KINDS = ((bool, "a truth value"), (str, "a text"), (int | float, "a number"), (list, "a list"), (Mapping, "a table"))


def render_file(name: str, template: bytes, overrides: Mapping[str, Any], schema: bytes | None = None) -> bytes:
    """One configuration file: the template with `overrides` merged in, tables into tables, anything else replaced.

    JSON has sorted keys and one form; any other template without overrides is copied byte for byte. `schema` is the
    application's own. Raises BadTemplate, also for overrides of a file that cannot take them, and BadConfiguration.
    """
    form = format_of(name)
    if form is None and overrides:
        message = f"Values are set for {name!r}, but only .json, .yaml, .toml, .ini and .env files can take them."
        raise BadTemplate(message, hint="Remove the values, or give the configuration one of these forms.")
    if form is None or (form.title != "JSON" and not overrides and schema is None):
        return template
    merged = _merged(_parsed(template, form), overrides)
    if schema is not None:
        config_schema.check(name, merged, schema)
    if form.title != "JSON" and not overrides:
        return template
    try:
        return form.write(merged).encode()
    except (ValueError, RecursionError) as error:
        raise BadConfiguration(f"{name}: it cannot be written as {form.title}: {error}.", place=[name]) from error


def render_config(template: bytes, overrides: Mapping[str, Any]) -> bytes:
    """`render_file` of a JSON file."""
    return render_file("config.json", template, overrides)


def check_template(name: str, template: bytes, schema: bytes | None) -> None:
    """Raise BadTemplate or BadConfiguration for a template that no values could make a file of."""
    if schema is None:
        render_file(name, template, {})
        return
    form = format_of(name)
    if form is None:
        raise BadTemplate(f"{name!r} has a schema, but is none of .json, .yaml, .toml, .ini and .env.")
    config_schema.check(name, _parsed(template, form), schema, whole=False)


def check_kinds(name: str, template: bytes, overrides: Mapping[str, Any]) -> None:
    """Raise BadConfiguration for a value of another kind than the template has in its place.

    For a file without a schema: what the template leaves out, or has as null, may be anything.
    """
    form = format_of(name)
    if form is not None and overrides:
        _compare([name], _parsed(template, form), overrides, form)


def _compare(place: list[str], old: Any, new: Any, form: Format) -> None:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in new:
            if key in old:
                _compare([*place, key], old[key], new[key], form)
        return
    wanted, given = _kind(old), _kind(new)
    texts = form.text and wanted == "a text" and given in ("a number", "a truth value")
    if wanted and given and wanted != given and not texts:
        key = ".".join(place[1:])
        raise BadConfiguration(
            f"{place[0]}: {key} must be {wanted}, not {given}.",
            hint="The release's own template has it so.",
            place=place,
        )


def _kind(value: Any) -> str:
    return next((word for kind, word in _KINDS if isinstance(value, kind)), "")


def _parsed(template: bytes, form: Format) -> dict[str, Any]:
    try:
        parsed = form.read(template.decode())
    except (ValueError, RecursionError) as error:
        raise BadTemplate(
            f"The template is not proper {form.title}: {error}.", hint="Correct it at the place named."
        ) from error
    if not isinstance(parsed, dict):
        begin = "Begin it with { and end it with }." if form.title == "JSON" else "Give it keys with values."
        raise BadTemplate(f"The template is not a {form.title} object.", hint=begin)
    return parsed


def _merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in sorted(overrides.items()):  # what the template does not have comes last, in one order
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(old, value)
        else:
            merged[key] = value
    return merged
