"""The formats of configuration files that values can be merged into: JSON, YAML, TOML, INI and environment files.

Reading refuses what would be lost when it is written again: keys that are there twice, YAML's anchors and tags. Writing
gives one form, so that equal configuration has equal bytes.
"""

import configparser
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tomli_w
import yaml

from engine.artifacts.toml_input import read_toml

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")


@dataclass(frozen=True)
class Format:
    """How one is read and written; both raise ValueError. `text`: every value in it is a text."""

    title: str
    read: Callable[[str], Any]
    write: Callable[[Mapping[str, Any]], str]
    text: bool = False


def format_of(name: str) -> Format | None:
    """By the ending of a file's name; None for one that is copied as it is."""
    return _FORMATS.get(name.rpartition(".")[2].lower()) if "." in name else None


def read_json(text: str) -> Any:
    """The value of a JSON text. Raises ValueError, also for a key that is there twice."""
    return json.loads(text, object_pairs_hook=unique, parse_constant=_no_constant)


def _write_json(table: Mapping[str, Any]) -> str:
    return json.dumps(table, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The table of these pairs. Raises ValueError for a key that is there twice."""
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return table


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON number")


class _Loader(yaml.SafeLoader):
    """YAML as JSON has it: no anchors, each key once and a text."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """One node; an alias would share a value between two places, of which one is then changed."""
        event = self.peek_event()  # type: ignore[no-untyped-call]  # types-PyYAML leaves it out
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ValueError(f"an anchor stands in line {event.start_mark.line + 1}; write its value out")
        return super().compose_node(parent, index)

    def table(self, node: yaml.MappingNode) -> dict[Any, Any]:
        """A table."""
        pairs = [(self.construct_object(key, True), self.construct_object(value, True)) for key, value in node.value]
        if odd := next((key for key, _ in pairs if not isinstance(key, str)), None):
            raise ValueError(f"the key {odd!r} is no text; put it in quotes")
        return unique(pairs)


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.table)


def _read_yaml(text: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _write_yaml(table: Mapping[str, Any]) -> str:
    return yaml.safe_dump(_plain(table), sort_keys=True, allow_unicode=True, default_flow_style=False, width=10_000)


def _plain(value: Any) -> Any:
    """The same without two places that are one object: YAML would write the second as an alias."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _write_toml(table: Mapping[str, Any]) -> str:
    try:
        return tomli_w.dumps(table)
    except TypeError as error:
        raise ValueError("TOML has no null; leave the key out") from error


def _ini() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, default_section="\0", empty_lines_in_values=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # names keep their case
    return parser


def _read_ini(text: str) -> Any:
    parser = _ini()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ValueError(" ".join(str(error).split())) from error
    return {name: dict(parser[name]) for name in parser.sections()}


def _write_ini(table: Mapping[str, Any]) -> str:
    parser, out = _ini(), io.StringIO()
    try:
        parser.read_dict({name: {key: as_text(value) for key, value in part.items()} for name, part in table.items()})
    except (AttributeError, configparser.Error) as error:
        raise ValueError("an INI file has sections, and each has names with values") from error
    parser.write(out)
    if _read_ini(out.getvalue()) != {name: dict(parser[name]) for name in parser.sections()}:
        raise ValueError("a name or value cannot be written in an INI file")
    return out.getvalue()


def _read_env(text: str) -> Any:
    pairs = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        name, equals, value = line.strip().partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise ValueError(f"line {number} is not NAME=value")
        pairs.append((name, _unquoted(value.strip(), number)))
    return unique(pairs)


def _unquoted(value: str, number: int) -> str:
    if value[:1] not in ('"', "'"):
        if value.endswith("\\"):
            raise ValueError(f"line {number} is continued on the next; write the value in one line")
        return value
    if len(value) < 2 or value[-1] != value[0]:
        raise ValueError(f"line {number} has a quote that does not end")
    return value[1:-1] if value[0] == "'" else re.sub(r'\\(["\\$`])', r"\1", value[1:-1])


def _write_env(table: Mapping[str, Any]) -> str:
    lines = []
    for name, value in table.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a variable")
        text = as_text(value)
        if not text.isprintable():
            raise ValueError(f"the value of {name} is more than one line of text")
        escaped = re.sub(r'(["\\$`])', r"\\\1", text)
        lines.append(f"{name}={text}\n" if _PLAIN.fullmatch(text) else f'{name}="{escaped}"\n')
    return "".join(lines)


def as_text(value: Any) -> str:
    """A value where every value is a text. Raises ValueError for tables, lists and null."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise ValueError("a value is a text, a number or a truth value there")  # noqa: TRY004  (as every other)
    return str(value)


_FORMATS = {
    "json": Format("JSON", read_json, _write_json),
    "yaml": Format("YAML", _read_yaml, _write_yaml),
    "yml": Format("YAML", _read_yaml, _write_yaml),
    "toml": Format("TOML", read_toml, _write_toml),
    "ini": Format("INI", _read_ini, _write_ini, text=True),
    "cfg": Format("INI", _read_ini, _write_ini, text=True),
    "env": Format("an environment file", _read_env, _write_env, text=True),
}
