"""A call of the API as one writes it on a shell and in Python, made of the OpenAPI document: it cannot fall behind."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

_PLAIN: dict[str, Any] = {"string": "…", "integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}}


@dataclass(frozen=True)
class Example:
    """One call, in two languages."""

    curl: str
    python: str


@dataclass(frozen=True)
class _Call:
    method: str
    url: str
    kind: str
    body: dict[str, Any]
    signed: bool


def example_of(document: dict[str, Any], method: str, path: str, operation: dict[str, Any], *, base: str) -> Example:
    """Of an operation, with what it needs and no more; the token is in `TOKEN`."""
    needed = [one for one in operation.get("parameters", []) if one.get("required")]
    for one in needed:
        if one["in"] == "path":
            given = _value(document, one.get("schema", {}), one.get("example"))
            path = path.replace(f"{{{one['name']}}}", one["name"].upper() if given == "…" else str(given))
    asked = {
        one["name"]: _value(document, one.get("schema", {}), one.get("example"))
        for one in needed
        if one["in"] == "query"
    }
    content: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    kind = next(iter(content), "")
    body = _filled(document, content[kind]["schema"]) if kind else {}
    url = f"{base}{path}" + (f"?{urlencode(asked)}" if asked else "")
    call = _Call(method.upper(), url, kind, body, bool(operation.get("security")))
    return Example(_curl(call), _python(call))


def _curl(call: _Call) -> str:
    parts = ["curl"] if call.method == "GET" else [f"curl -X {call.method}"]
    if call.signed:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    if call.kind == "application/json":
        parts += ["-H 'Content-Type: application/json'", f"-d {_quoted(json.dumps(call.body, ensure_ascii=False))}"]
    elif call.kind == "multipart/form-data":
        parts += [f"-F {_quoted(f'{name}={value}')}" for name, value in call.body.items()]
    elif call.kind:
        parts += [f"--data-urlencode {_quoted(f'{name}={value}')}" for name, value in call.body.items()]
    return " \\\n  ".join([*parts, _quoted(call.url)])


def _python(call: _Call) -> str:
    given = [f'    "{call.url}",']
    if call.signed:
        given.append('    headers={"Authorization": f"Bearer {os.environ[\'TOKEN\']}"},')
    files = {name: value for name, value in call.body.items() if str(value).startswith("@")}
    values = {name: value for name, value in call.body.items() if name not in files}
    if call.kind == "application/json":
        given.append(f"    json={values!r},")
    elif values:
        given.append(f"    data={values!r},")
    if files:
        opened = ", ".join(f'"{name}": open("{value[1:]}", "rb")' for name, value in files.items())
        given.append(f"    files={{{opened}}},")
    lines = ["import os", "import requests", "", f"answer = requests.{call.method.lower()}(", *given, ")"]
    return "\n".join([*lines, "answer.raise_for_status()", "print(answer.text)"])


def _filled(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A body with the fields that are needed; of a schema that needs none, those that have an example."""
    schema = _resolved(document, schema)
    fields: dict[str, Any] = schema.get("properties", {})
    needed = schema.get("required") or [name for name, about in fields.items() if about.get("examples")]
    return {name: _value(document, fields[name], None) for name in needed if name in fields}


def _value(document: dict[str, Any], schema: dict[str, Any], example: Any) -> Any:
    schema = _resolved(document, schema)
    if example is None and schema.get("examples"):
        example = schema["examples"][0]
    if example is not None:
        return example
    if schema.get("format") == "binary":
        return "@artifact.tar"
    if schema.get("format") == "date-time":
        return "2026-12-01T22:00:00Z"
    if "enum" in schema:
        return schema["enum"][0]
    if parts := schema.get("anyOf") or schema.get("allOf"):
        return _value(document, parts[0], None)
    if schema.get("properties"):
        return _filled(document, schema)
    return _PLAIN.get(schema.get("type", "string"), "…")


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if reference := schema.get("$ref"):
        found: dict[str, Any] = document["components"]["schemas"][str(reference).rpartition("/")[2]]
        return found
    return schema


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
