"""Lists of tables that grow for years: a page costs the same whatever came before it.

Nothing is counted beyond the newest `MOST`, texts are searched in the newest `SEARCHED` rows, and a filter's choices
are read off an index. Older rows are reached by narrowing the list: by number, subject, actor or time.
"""

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Max, Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from deployments.core.distinct_values import distinct_values
from deployments.models import Environment

MOST = 1000
SEARCHED = 5000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # django-stubs' takes a parameter that Django's does not
    """Pages over the first MOST rows."""

    template_name = "deployments/admin/pagination.html"

    @cached_property
    def count(self) -> int:
        """Rows, MOST at most."""
        rows = self.object_list
        return rows.values("pk")[:MOST].count() if isinstance(rows, QuerySet) else len(rows)

    @property
    def cut(self) -> bool:
        """Whether there may be more than what is counted."""
        return self.count == MOST


def newest(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Those among the last SEARCHED numbers of the whole table: a text can only be found by reading."""
    last = rows.model._default_manager.order_by().aggregate(last=Max("pk"))["last"]
    return rows.filter(pk__gt=last - SEARCHED) if isinstance(last, int) else rows


class EnvironmentFilter(admin.SimpleListFilter):
    """By an environment's name, where the name is what was written down."""

    title = parameter_name = "environment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The environments there are."""
        return [(name, name) for name in Environment.objects.values_list("name", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of the environment."""
        return queryset.filter(environment=self.value()) if self.value() else queryset


class NameFilter(admin.SimpleListFilter):
    """By the column `name`, which is an application's; an index holds its values in order."""

    title = parameter_name = "application"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The names there are."""
        model: type[Model] = model_admin.model
        return [(name, name) for name in distinct_values(model, "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of the name."""
        return queryset.filter(name=self.value()) if self.value() else queryset
