"""What a service without a room says of itself: any answer will do, 200 is well."""

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dashboard.health.document import HealthDocument, Name, Seconds, disconnected
from dashboard.health.upstream import Answer

_VERSION, _UPTIME = TypeAdapter[str](Name), TypeAdapter[float](Seconds)


def read(answer: Answer, *, version: str, uptime: float) -> HealthDocument:
    """The eight fields of an answer in whatever form. `version` and `uptime` are for one that does not say its own."""
    said = _object(answer.body)
    document = disconnected(
        version=_field(_VERSION, said.get("version"), version), uptime=_field(_UPTIME, said.get("uptime"), uptime)
    )
    if answer.status != 200:
        return document
    return document.model_copy(update={"status": "connected", "connected": True})


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _field(kind: TypeAdapter[Any], said: object, otherwise: Any) -> Any:
    try:
        return kind.validate_python(said, strict=True)
    except ValidationError:
        return otherwise
