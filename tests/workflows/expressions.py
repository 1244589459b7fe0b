"""GitHub's expressions, as far as our workflows use them: look-ups, texts, ==, !=, && and ||."""

import re
from collections.abc import Mapping
from typing import Any

_TOKENS = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<operator>\|\||&&|==|!=)|(?P<name>[A-Za-z_][\w.-]*))")
_EMBEDDED = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_ORDER = ("||", "&&", "==", "!=")


def interpolate(text: str, contexts: Mapping[str, Any]) -> str:
    """`text` with every ${{ expression }} replaced by its value."""
    return _EMBEDDED.sub(lambda match: _as_text(evaluate(match[1], contexts)), text)


def condition(text: str, contexts: Mapping[str, Any]) -> bool:
    """The value of an `if:`, which needs no braces."""
    match = _EMBEDDED.fullmatch(text.strip())
    return bool(evaluate(match[1] if match else text, contexts))


def evaluate(expression: str, contexts: Mapping[str, Any]) -> Any:
    """The value of one expression; a look-up of what is not there gives an empty text, as on GitHub."""
    tokens, position = [], 0
    expression = expression.strip()
    while position < len(expression):
        match = _TOKENS.match(expression, position)
        assert match, f"the stand-in does not know {expression[position:]!r}"
        tokens.append(match)
        position = match.end()
    return _value(tokens, contexts)


def _value(tokens: list[re.Match[str]], contexts: Mapping[str, Any]) -> Any:
    for operator in _ORDER:
        for index, token in enumerate(tokens):
            if token["operator"] == operator:
                left = _value(tokens[:index], contexts)
                if operator == "||":
                    return left or _value(tokens[index + 1 :], contexts)
                right = _value(tokens[index + 1 :], contexts)
                if operator == "&&":
                    return left and right
                return (left == right) is (operator == "==")
    assert len(tokens) == 1, [token[0] for token in tokens]
    return _atom(tokens[0], contexts)


def _atom(token: re.Match[str], contexts: Mapping[str, Any]) -> Any:
    if token["text"]:
        return token["text"][1:-1].replace("''", "'")
    found: Any = contexts
    for part in token["name"].split("."):
        found = found.get(part, "") if isinstance(found, Mapping) else ""
    return found


def _as_text(value: Any) -> str:
    return {True: "true", False: "false", None: ""}.get(value, str(value)) if not isinstance(value, str) else value
