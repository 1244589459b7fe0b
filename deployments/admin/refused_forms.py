"""A form that a service refused: shown again with what was typed, the refusal beside the field that it is about."""

from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.html import format_html

from deployments.admin.forms import ModelForm
from deployments.http.error_messages import entry
from engine.errors import PortalError

M = TypeVar("M", bound=Model)

_FIELDS = {
    "secret_in_configuration": "configuration",
    "bad_url": "url",
}
"""What a refusal is about, by its reason; of a row that its model refuses, Django says which columns."""


def refusing(form_class: type[ModelForm[M]], error: PortalError) -> type[ModelForm[M]]:
    """The same form, which takes nothing and says why."""

    def full_clean(form: ModelForm[M]) -> None:
        form_class.full_clean(form)
        for name, sentence in _told(error) if form.is_bound else ():
            form.add_error(name if name in form.fields else None, format_html("{} {}", sentence, entry(error)))

    make: Any = type(form_class)
    made: type[ModelForm[M]] = make(form_class.__name__, (form_class,), {"full_clean": full_clean})
    return made


def _told(error: PortalError) -> list[tuple[str, str]]:
    """Field and sentence, or several."""
    cause = error.__cause__
    if isinstance(cause, ValidationError) and hasattr(cause, "error_dict"):
        return [(name, " ".join(sentences)) for name, sentences in cause.message_dict.items()]
    return [(_FIELDS.get(error.reason, ""), str(error))]
