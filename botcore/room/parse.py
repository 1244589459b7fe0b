"""Narrow reading of untrusted event data. Everything raises MalformedEvent, never anything else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from botcore.errors import MalformedEvent
from botcore.markup import encodable


def record(data: object) -> Mapping[str, Any]:
    """An object."""
    if not isinstance(data, dict):
        raise MalformedEvent(f"expected an object, got {type(data).__name__}")
    return data


def sequence(data: object) -> list[Any]:
    """An array."""
    if not isinstance(data, list):
        raise MalformedEvent(f"expected an array, got {type(data).__name__}")
    return data


def text(data: object) -> str:
    """A string that any file or database can take."""
    if not isinstance(data, str):
        raise MalformedEvent(f"expected a string, got {type(data).__name__}")
    return encodable(data)


def flag(data: object) -> bool:
    """A boolean."""
    if not isinstance(data, bool):
        raise MalformedEvent(f"expected a boolean, got {type(data).__name__}")
    return data


def number(data: object) -> float:
    """A finite number; JSON numbers too large for a float are refused."""
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise MalformedEvent(f"expected a number, got {type(data).__name__}")
    try:
        value = float(data)
    except OverflowError as error:
        raise MalformedEvent("the number is too large") from error
    if not math.isfinite(value):
        raise MalformedEvent("the number is not finite")
    return value


def integer(data: object) -> int:
    """A whole number that fits into 64 bits."""
    if isinstance(data, bool) or not isinstance(data, int) or abs(data) >= 2**63:
        raise MalformedEvent(f"expected a whole number, got {type(data).__name__}")
    return data


def key(data: object, name: str) -> Any:
    """A member that must be there."""
    try:
        return record(data)[name]
    except KeyError as error:
        raise MalformedEvent(f"{name!r} is missing") from error
