"""pydantic's findings as problems a person can act on."""

import difflib
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from engine.artifacts.problems import Problem, key_path

_WANTED = {
    "string_type": "a text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list in square brackets",
    "dict_type": "a table",
    "model_type": "a table",
}


def explain(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """One problem per finding, in the order of the file's schema."""
    # pydantic calls a list too short when its entries are wrong; those have problems of their own
    findings = (found for found in error.errors() if found["type"] != "too_short" or not found["input"])
    return [_problem(found, model) for found in findings]


def _problem(found: ErrorDetails, model: type[BaseModel]) -> Problem:
    about_key = bool(found["loc"]) and found["loc"][-1] == "[key]"
    location = [part for part in found["loc"] if part != "[key]"]
    table, field = _field_at(location, model)
    hint = (field.description if field else None) or ""
    key = key_path(location)
    kind, value = found["type"], found["input"]
    if kind == "extra_forbidden":
        return Problem(key, "this key is not known", _suggestion(str(location[-1]), table))
    if kind == "missing":
        return Problem(key, "is missing", hint)
    if kind == "path_escapes":
        return Problem(key, found["msg"], "Name a path below the directory of deploy.toml.", "path_escapes")
    if kind == "literal_error" and about_key:
        return Problem(key, f"{value!r} is not one of {found.get('ctx', {})['expected']}", hint)
    if about_key:
        return Problem(key, f"the name {value!r} is not allowed here", hint)
    if kind in _WANTED:
        return Problem(key, f"must be {_WANTED[kind]}, not {_told(value)}", hint)
    if kind in {"string_pattern_mismatch", "string_too_short", "string_too_long"}:
        return Problem(key, f"{value!r} is not allowed here", hint)
    if kind == "too_short":
        return Problem(key, "must not be empty", hint)
    return Problem(key, f"{value!r} is not allowed: {found['msg'][:1].lower()}{found['msg'][1:]}", hint)


def _told(value: object) -> str:
    match value:
        case bool():
            return f"the truth value {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value!r}"
        case Mapping():
            return "a table"
        case list():
            return "a list"
        case _:
            return f"the {type(value).__name__} {value}"


def _suggestion(key: str, table: type[BaseModel] | None) -> str:
    known = sorted(_fields(table)) if table else []
    close = difflib.get_close_matches(key, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known here: {', '.join(known)}."


def _fields(table: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields by the keys that people write."""
    return {field.alias or name: field for name, field in table.model_fields.items()}


def _field_at(location: Iterable[int | str], model: type[BaseModel]) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """The table a key lies in, and its field; the keys of free tables belong to the field that holds them."""
    table: type[BaseModel] | None = model
    inner: Any = None
    field: FieldInfo | None = None
    for part in location:
        if inner is not None and get_origin(inner) is dict:
            inner = _plain(get_args(inner)[1])
        elif table is not None and not isinstance(part, int):
            field = _fields(table).get(part)
            inner = _plain(field.annotation) if field else None
        else:
            continue
        # the last part of an unknown key leaves the table as it is
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            table, inner = inner, None
    return table, field


def _plain(annotation: Any) -> Any:
    if get_origin(annotation) in {Union, UnionType}:
        return next(each for each in get_args(annotation) if each is not NoneType)
    if get_origin(annotation) is Literal:
        return str
    return annotation
