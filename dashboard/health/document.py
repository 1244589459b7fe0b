"""The health document: exactly eight typed fields, as docs/api.md promises."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dashboard.errors import InvalidHealthResponse

COUNTER_LIMIT = 2**53  # beyond it a JSON number is no longer exact
Counter = Annotated[int, Field(ge=0, le=COUNTER_LIMIT)]
Seconds = Annotated[int | float, Field(ge=0, le=1e10, allow_inf_nan=False)]
# no control characters: the text is shown on pages and in metrics
Name = Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]


class HealthDocument(BaseModel):
    """What a bot says about itself; nothing else is passed on."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "example": {
                "status": "connected",
                "connected": True,
                "channel": "rosey",
                "uptime": 86400.5,
                "version": "1.4.0",
                "user_count": 17,
                "requests": 1290,
                "errors": 2,
            }
        },
    )

    status: Literal["connected", "disconnected"]
    connected: bool = Field(description="Whether the bot is in its room.")
    channel: Name
    uptime: Seconds = Field(description="Seconds since the bot's process started.")
    version: Name
    user_count: Counter = Field(description="People in the room, as CyTube counts them.")
    requests: Counter = Field(description="Chat commands handled since the process started.")
    errors: Counter = Field(description="How many of these failed, plus exceptions in event handlers.")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.connected != (self.status == "connected"):
            raise ValueError("status and connected contradict each other")
        return self


def parse(body: bytes) -> HealthDocument:
    """The document in `body`; raises InvalidHealthResponse naming the first field that is wrong."""
    try:
        return HealthDocument.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"][:80] if where in HealthDocument.model_fields or not where else "unexpected field"
        raise InvalidHealthResponse(
            f"The bot's health answer is not valid: {where[:40]}: {what}.".replace(": : ", ": ")
        ) from None


def disconnected(
    *, channel: str = "", uptime: float = 0, version: str = "", user_count: int = 0, requests: int = 0, errors: int = 0
) -> HealthDocument:
    """The document of a bot that cannot be asked: the fields last known, and not connected."""
    return HealthDocument(
        status="disconnected",
        connected=False,
        channel=channel,
        uptime=uptime,
        version=version,
        user_count=user_count,
        requests=requests,
        errors=errors,
    )
