"""What every page of the control room shares: read-only, with actions, its audit events and the way to more of them."""

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode

from deployments.access.policy import may, may_somewhere
from deployments.access.verbs import Verb
from deployments.admin import labels
from deployments.admin.actors import actor_of
from deployments.admin.confirmations import Confirmation, bulk_action, page
from deployments.admin.empty_lists import empty_list
from deployments.admin.event_display import shown
from deployments.admin.forms import ModelForm
from deployments.admin.lists import BoundedPaginator, newest
from deployments.admin.refused_forms import refusing
from deployments.models import AuditEvent
from engine.errors import PortalError

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin as Base
else:
    from unfold.admin import ModelAdmin

    class Base(ModelAdmin):
        """Unfold's class, which takes no type parameter at run time. Its forms show no credential again."""

        form = ModelForm

        def __class_getitem__(cls, _model):
            return cls


EVENTS_SHOWN = 15
_REFUSED = "_portal_refused"
"""Of a request: what a service said to its form."""
_FILTERED = ("", "__exact", "__id__exact", "__isnull", "__gte", "__lt")
"""What Django's list filters ask of a column."""


class PortalAdmin(Base[M]):
    """Read-only unless a subclass says otherwise. `view_verb` decides who sees it, `change_verb` who edits it."""

    confirmations: ClassVar[tuple[Confirmation[Any], ...]] = ()
    view_verb: ClassVar[Verb] = Verb.VIEW
    change_verb: ClassVar[Verb | None] = None
    add_verb: ClassVar[Verb | None] = None
    added: ClassVar[str] = ""
    """What the button that adds one says, where the name of the table does not."""
    linked_columns: ClassVar[tuple[str, ...]] = ()
    """Columns that links narrow the list by, beside its filters."""
    list_per_page = 50
    empty_value_display = labels.NONE
    list_fullwidth = True
    list_filter_sheet = False
    compressed_fields = True
    change_form_outer_before_template = "deployments/admin/actions.html"
    change_form_outer_after_template = "deployments/admin/events.html"
    show_full_result_count = False
    paginator = BoundedPaginator
    searched_newest: ClassVar[bool] = False
    """Whether the table grows for ever: texts are then searched in its newest rows."""

    def audit_subject(self, obj: M) -> str:
        """The subject of its events, as in `deployment:12`; empty when it has none."""
        return ""

    def has_view_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """By role."""
        return may(actor_of(request), self.view_verb)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """By role."""
        return self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """By role, where a service takes the edit."""
        return self.change_verb is not None and may(actor_of(request), self.change_verb)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """By role, where a service takes the new object."""
        return self.add_verb is not None and may(actor_of(request), self.add_verb)

    def add_label(self) -> str:
        """What the button that adds one says."""
        name = str(self.opts.verbose_name)
        return self.added or f"Add {'an' if name[0].lower() in 'aeio' else 'a'} {name}"

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Nothing is deleted here."""
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """What the list's own filters ask, and no more: Django lets an address read every column, secrets too."""
        if lookup in self.linked_columns:
            return True
        for each in self.get_list_filter(request):
            column = each[0] if isinstance(each, (tuple, list)) else each
            if isinstance(column, str):
                if lookup in {f"{column}{how}" for how in _FILTERED}:
                    return True
            elif lookup == getattr(column, "parameter_name", None):
                return True
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[M], search_term: str
    ) -> tuple[QuerySet[M], bool]:
        """What holds the words; of a table that grows for ever, among its newest rows."""
        rows = newest(queryset) if search_term and self.searched_newest else queryset
        return super().get_search_results(request, rows, search_term)

    def get_urls(self) -> list[URLPattern]:
        """The confirmation pages before Django's own."""
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        own = [
            path(
                f"<path:object_id>/{each.slug}/",
                self.admin_site.admin_view(page(self, each)),
                name=f"{name}_{each.slug.replace('-', '_')}",
            )
            for each in self.confirmations
        ]
        return own + super().get_urls()

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Bulk actions: the confirmations that take several objects, for those whose role permits them."""
        return {
            f"bulk_{each.slug}": (bulk_action(each), f"bulk_{each.slug}", f"{each.label} …")
            for each in self.confirmations
            if each.bulk and may_somewhere(actor_of(request), each.verb)
        }

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The rows; where there are none, what to do about it."""
        changes: Any = super().get_changelist_instance(request)
        if not changes.result_count:
            changes.empty_list = empty_list(self.opts.label_lower, actor_of(request))
        return changes

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, under its own name, with the way to one more."""
        if not self.has_view_permission(request):
            raise PermissionDenied(self._missing_role())
        title = str(self.opts.verbose_name_plural).capitalize()
        own = {"title": title, "subtitle": None, "add_label": self.add_label()}
        return super().changelist_view(request, {**own, **(extra_context or {})})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """The page with its actions and events; a form that a service refuses is shown again, as it was sent."""
        context = {
            "show_save_and_add_another": False,
            "show_save_and_continue": False,
            **({} if object_id else {"title": self.add_label()}),
            **(extra_context or {}),
        }
        obj = self.get_object(request, object_id) if object_id else None
        if object_id and not self.has_view_permission(request, obj):
            raise PermissionDenied(self._missing_role())
        if object_id and obj is None:
            missing = f"There is no {self.opts.verbose_name} {unquote(object_id)[:60]}"
            messages.warning(request, f"{missing}: the address is wrong, or it is gone.")
            return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))
        if obj is not None:
            context = {"portal_actions": self.actions_for(request, obj), **self.events_for(obj), **context}
        try:
            return super().changeform_view(request, object_id, form_url, context)
        except PortalError as refused:
            setattr(request, _REFUSED, refused)
            answer = super().changeform_view(request, object_id, form_url, context)
            answer.status_code = refused.http_status
            return answer

    def get_form(
        self, request: HttpRequest, obj: M | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm[M]]:
        """The form; where a service has refused what was sent, one that says so."""
        form: type[ModelForm[M]] = super().get_form(request, obj, change, **kwargs)
        refused = getattr(request, _REFUSED, None)
        return refusing(form, refused) if refused else form

    def _missing_role(self) -> str:
        """Which role it takes to see this."""
        roles = " or ".join(sorted(role.value for role in self.view_verb.rule.roles))
        return f"This takes the role {roles}, which you do not have. Ask an administrator for it."

    def actions_for(self, request: HttpRequest, obj: M) -> list[dict[str, Any]]:
        """The buttons of an object's page: what makes sense now and is not out of the person's role."""
        actor = actor_of(request)
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        return [
            {
                "slug": each.slug,
                "label": each.label,
                "icon": each.icon,
                "tone": each.tone,
                "at_once": each.at_once,
                "effect": each.effect(obj),
                "url": reverse(f"{name}_{each.slug.replace('-', '_')}", args=[obj.pk]),
            }
            for each in self.confirmations
            if each.offered(obj, actor) and may(actor, each.verb, each.environment(obj))
        ]

    def events_for(self, obj: M) -> dict[str, Any]:
        """The last audit events about an object, and the address of all of them."""
        subject = self.audit_subject(obj)
        if not subject:
            return {}
        return {
            "audit_events": [shown(event) for event in AuditEvent.objects.filter(subject=subject)[:EVENTS_SHOWN]],
            "audit_all": f"{reverse('admin:deployments_auditevent_changelist')}?{urlencode({'subject': subject})}",
        }

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The audit trail of the object: Django's own log entries are not kept."""
        obj = self.get_object(request, object_id)
        subject = self.audit_subject(obj) if obj is not None else ""
        return HttpResponseRedirect(
            f"{reverse('admin:deployments_auditevent_changelist')}?{urlencode({'subject': subject})}"
        )

    # The audit trail is the one record: Django's log entries can be edited and deleted.
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Not kept."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Not kept."""

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Not kept."""
