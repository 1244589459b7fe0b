"""Bodies of requests: JSON that is no deeper than anything we ask for."""

import json
from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest
from ninja.parser import Parser

DEEPEST = 40
"""Levels of lists and objects; deeper ones end in RecursionError somewhere, and serve nobody."""


class TooDeep(ValueError):
    """A body that is nested beyond `DEEPEST`."""


class BodyParser(Parser):
    """What every operation reads its body with."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """The body. Raises TooDeep; ninja makes any failure here an HttpError, which keeps it as its cause."""
        try:
            parsed: dict[str, Any] = json.loads(request.body)
        except RecursionError as error:
            raise TooDeep from error
        level: list[Any] = [parsed]
        for _ in range(DEEPEST):
            level = [child for item in level for child in _inside(item)]
            if not level:
                return parsed
        raise TooDeep


def _inside(item: object) -> Iterable[Any]:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list) else ()
