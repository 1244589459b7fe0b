"""Lists a page at a time, newest first: `?before=` the last number of the page before."""

from typing import Annotated, TypeVar

from django.db.models import Model, QuerySet
from ninja import Schema
from pydantic import Field

M = TypeVar("M", bound=Model)
Number = Annotated[int, Field(ge=1, le=2**53, description="A number as the lists give it.", examples=[41])]
Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
EnvironmentName = Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9._+-]+)?$")]
"""`NAME` or `APPLICATION/NAME`; what it means, `core.selectors.environment_named` says."""


class Paging(Schema):
    """Which page."""

    before: Number | None = Field(None, description="Only what has a lower number.", examples=[200])
    limit: int = Field(50, ge=1, le=200, description="How many at most.", examples=[50])


def page_of(rows: QuerySet[M], paging: Paging, field: str = "pk") -> tuple[list[M], int | None]:
    """The page, and the `before` of the next one (None at the end). Never counts the table."""
    if paging.before is not None:
        rows = rows.filter(**{f"{field}__lt": paging.before})
    found = list(rows.order_by(f"-{field}")[: paging.limit + 1])
    last = found[paging.limit - 1] if len(found) > paging.limit else None
    return found[: paging.limit], last.pk if last is not None else None
