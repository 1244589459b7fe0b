"""A token for a workflow that stores none: its signed identity, exchanged."""

from typing import Literal

from django.http import HttpRequest
from ninja import Form, Router, Schema
from pydantic import Field

from deployments.access.sign_ins import counted_address
from deployments.github.exchange import MINUTES, exchange
from deployments.http import limits
from deployments.http.documents import Document
from deployments.http.paging import Name
from deployments.http.problems import answers

router = Router(tags=["Tokens"])

_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_IDENTITY = "urn:ietf:params:oauth:token-type:id_token"
_ACCESS = "urn:ietf:params:oauth:token-type:access_token"


class ExchangeIn(Schema):
    """A request of RFC 8693, as a form."""

    grant_type: Literal["urn:ietf:params:oauth:grant-type:token-exchange"] = Field(examples=[_GRANT])
    subject_token: str = Field(
        max_length=8192,
        pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$",
        description="The identity that GitHub gave the run, with this portal's address as its audience.",
        examples=["eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiI3In0.c2lnbmF0dXJl"],
    )
    subject_token_type: Literal["urn:ietf:params:oauth:token-type:id_token"] = Field(examples=[_IDENTITY])
    audience: Name | None = Field(
        None, description="The environment it is for, where several are bound.", examples=["test"]
    )


class ExchangeOut(Document):
    """An answer of RFC 8693."""

    access_token: str = Field(description="An API token, shown this once.")
    issued_token_type: str = Field(examples=[_ACCESS])
    token_type: str = Field(examples=["Bearer"])
    expires_in: int = Field(description="Seconds.", examples=[1200])
    scope: str = Field(description="Its scopes, separated by spaces.", examples=["deploy read release"])


@router.post(
    "/tokens/exchange", response=answers({200: ExchangeOut}, 409, 502), summary="Exchange a workflow's identity"
)
def exchange_identity(request: HttpRequest, asked: Form[ExchangeIn]) -> ExchangeOut:
    """A token of minutes for a run of a workflow that an administrator has bound. Each identity is taken once."""
    limits.spend(f"exchange:{counted_address(request)}", limits.EXCHANGES)
    limits.spend("exchanges", limits.ALL_EXCHANGES)
    token, text = exchange(text=asked.subject_token, environment=asked.audience or "")
    return ExchangeOut(
        access_token=str.__str__(text),
        issued_token_type=_ACCESS,
        token_type="Bearer",  # noqa: S106  (no secret: how it is sent)
        expires_in=MINUTES * 60,
        scope=" ".join(token.scopes),
    )
