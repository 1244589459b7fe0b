"""An application's own JSON Schema of a configuration file: nothing is fetched for it, patterns take linear time."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs

from engine.artifacts.errors import BadConfiguration, BadTemplate


def schema_problem(content: bytes) -> str:
    """Why this is no schema that can be applied, as the end of a sentence; empty when it is one."""
    try:
        _validator(content)
    except BadTemplate as error:
        return error.message.rstrip(".")
    return ""


def check(name: str, document: Mapping[str, Any], content: bytes, *, whole: bool = True) -> None:
    """Raise BadConfiguration for the first value of a file that its schema refuses, BadTemplate for no schema.

    Not `whole`: what is missing may still be set.
    """
    for error in _errors(document, _validator(content)):
        if not whole and error.kind.name == "required":
            continue
        place = list(error.instance_path)
        unexpected = getattr(error.kind, "unexpected", None)
        if unexpected:
            key = ".".join(map(str, [*place, unexpected[0]]))
            raise BadConfiguration(
                f"{name}: the application knows no {key}.",
                hint="Look at how it is spelt.",
                place=[name, *place, unexpected[0]],
            )
        where = f"{'.'.join(map(str, place))}: " if place else ""
        raise BadConfiguration(f"{name}: {where}{error.message}.", place=[name, *place])


def _errors(document: Mapping[str, Any], validator: Any) -> Iterator[Any]:
    # dates of YAML and TOML are texts for a schema
    return iter(validator.iter_errors(json.loads(json.dumps(document, default=str))))


def _validator(content: bytes) -> Any:
    try:
        schema = json.loads(content.decode())
        return jsonschema_rs.validator_for(
            schema, retriever=_fetch_nothing, pattern_options=jsonschema_rs.RegexOptions()
        )
    except (ValueError, RecursionError, TypeError, jsonschema_rs.ValidationError) as error:
        why = str(error).splitlines()[0] if str(error) else "it is nested too deeply"
        raise BadTemplate(
            f"The schema cannot be used: {why}.", hint="Write a JSON Schema that refers to nothing outside it."
        ) from error


def _fetch_nothing(address: str) -> Any:
    raise ValueError(f"it refers to {address}, which is outside the release")
