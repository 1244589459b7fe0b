"""Errors as problem documents (RFC 9457): one shape for every failure a client can meet.

PortalError
├── Unauthenticated             no token, or one that is not valid (HTTP 401)
├── TooLarge                    more bytes than the address takes (HTTP 413)
└── TooManyRequests             in `limits` (HTTP 429)
"""

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from ninja import NinjaAPI, Schema
from ninja.errors import HttpError, Throttled, ValidationError
from pydantic import Field

from deployments.http.bodies import DEEPEST, TooDeep
from deployments.http.error_messages import entry_address
from deployments.http.limits import TooManyRequests
from engine.errors import PortalError, error_id

CONTENT_TYPE = "application/problem+json"


class Unauthenticated(PortalError):
    """No token, or one that is not valid."""

    reason = "unauthenticated"
    http_status = 401


class TooLarge(PortalError):
    """More bytes than the address takes."""

    reason = "too_large"
    http_status = 413


class FieldProblem(Schema):
    """What is wrong with one field; what was sent is not repeated, it may hold a secret."""

    field: str = Field(examples=["body.reason"])
    message: str = Field(examples=["String should have at most 500 characters"])


class Problem(Schema):
    """What went wrong. `reason` and `code` are stable, for programs; `type` leads to the entry of `code`.

    `detail` and `hint` are for people.
    """

    type: str = Field(examples=["/docs/troubleshooting/#ops-environment-busy"])
    code: str = Field(examples=["ops-environment-busy"])
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["Another deployment of production is active."])
    reason: str = Field(examples=["environment_busy"])
    hint: str = Field("", examples=["Wait for #41 to end, or cancel it."])
    errors: list[FieldProblem] = Field([], description="For a request that is not valid: what is wrong where.")


def answers(success: dict[int, Any], *refusals: int) -> dict[int, Any]:
    """The `response=` of an operation: its success, what every operation may refuse, and `refusals`."""
    return success | dict.fromkeys(sorted({400, 401, 403, 422, 429, *refusals}), Problem)


def problem(status: int, detail: str, *, reason: str, hint: str = "", **extra: Any) -> HttpResponse:
    """A problem document as a response."""
    body = {
        "type": entry_address(reason),
        "code": error_id(reason),
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        "reason": reason,
        "hint": hint,
        **extra,
    }
    response = JsonResponse(body, status=status, content_type=CONTENT_TYPE)
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    return response


def from_portal_error(_request: HttpRequest, error: PortalError) -> HttpResponse:
    """The problem that an expected failure is."""
    response = problem(error.http_status, error.message, reason=error.reason, hint=error.hint)
    if isinstance(error, TooManyRequests):
        response["Retry-After"] = str(error.wait)
    return response


def install(api: NinjaAPI) -> None:
    """Make every expected failure of `api` a problem document."""
    # ninja's annotation says that a handler may receive the class itself; it only ever passes the instance
    api.add_exception_handler(PortalError, from_portal_error)  # type: ignore[arg-type]  # see above
    api.add_exception_handler(ValidationError, _invalid)  # type: ignore[arg-type]  # see above
    api.add_exception_handler(HttpError, _http_error)  # type: ignore[arg-type]  # see above
    api.add_exception_handler(RequestDataTooBig, _too_big)  # type: ignore[arg-type]  # see above
    for unreadable in (SuspiciousOperation, MultiPartParserError):
        api.add_exception_handler(unreadable, _unreadable)  # type: ignore[arg-type]  # see above


def _invalid(_request: HttpRequest, error: ValidationError) -> HttpResponse:
    # What was sent is not sent back: it may hold a secret.
    found = [
        {"field": ".".join(str(part) for part in one["loc"])[:200], "message": _printable(str(one["msg"]))[:200]}
        for one in error.errors[:20]
    ]
    return problem(422, "The request is not valid.", reason="invalid", hint="See errors for each field.", errors=found)


def _too_big(_request: HttpRequest, _error: RequestDataTooBig) -> HttpResponse:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return problem(413, f"The request may have {limit} bytes.", reason=TooLarge.reason)


def _unreadable(_request: HttpRequest, _error: Exception) -> HttpResponse:
    return problem(400, "The request cannot be read.", reason="bad_request")


def _printable(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()


def _http_error(_request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error, Throttled):  # ninja adds Retry-After
        return problem(429, str(error), reason=TooManyRequests.reason, hint="Retry-After says when to go on.")
    if isinstance(error.__cause__, TooDeep):
        return problem(422, f"The body is nested deeper than {DEEPEST} levels.", reason="invalid")
    return problem(error.status_code, str(error), reason="bad_request" if error.status_code == 400 else "failed")
