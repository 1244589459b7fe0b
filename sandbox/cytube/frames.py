"""Checks what clients send, with CyTube's own sentences for what is wrong. Source: recording 05 and 14."""

from collections.abc import Mapping
from typing import Any


class BadFrame(Exception):
    """The data of an event has the wrong shape. It never leaves the server: the client gets an errorMsg."""


def js_type(value: object) -> str:
    """What JavaScript's typeof calls a JSON value."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object"


def as_object(data: object, keys: Mapping[str, str]) -> dict[str, Any]:
    """``data`` as a dictionary whose ``keys`` have the named types; "string?" may be missing.

    Raises BadFrame with the sentence for the client.
    """
    if not isinstance(data, dict):
        raise BadFrame(f"Expected type object, got {js_type(data)}")
    for key, expected in keys.items():
        wanted = expected.removesuffix("?")
        if key not in data:
            if expected == wanted:
                raise BadFrame(f"Missing key: {wanted}:{key}")
        elif js_type(data[key]) != wanted:
            raise BadFrame(f"Expected key {key} to be of type {wanted}, instead got {js_type(data[key])}")
    return data


def as_text(data: object) -> str:
    """``data`` as a string, or BadFrame."""
    if not isinstance(data, str):
        raise BadFrame(f"Expected type string, got {js_type(data)}")
    return data


def as_number(data: object) -> float:
    """``data`` as a number, or BadFrame."""
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise BadFrame(f"Expected type number, got {js_type(data)}")
    return data
