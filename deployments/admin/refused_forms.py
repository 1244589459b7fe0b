"""A form that a service refused: shown again with what was typed but for secrets, the refusal beside its field."""

import json
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.html import format_html

from deployments.admin.forms import ModelForm
from deployments.core.masking import Mask
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
        if form.is_bound and error.reason == "secret_in_configuration":
            typed = {name: form.data[name] for name in form.data}
            form.data = typed | {"configuration": _masked(form.instance.pk, typed["configuration"])}
        for name, sentence in _told(error) if form.is_bound else ():
            form.add_error(name if name in form.fields else None, format_html("{} {}", sentence, entry(error)))

    make: Any = type(form_class)
    made: type[ModelForm[M]] = make(form_class.__name__, (form_class,), {"full_clean": full_clean})
    return made


def _masked(environment_id: int, typed: str) -> str:
    """A configuration with a secret's name in the place of its value; nothing where that is written in another way."""
    mask = Mask.for_environment(environment_id)
    text = mask(typed)
    return "" if mask.found_in(json.loads(text)) else text


def _told(error: PortalError) -> list[tuple[str, str]]:
    """Field and sentence, or several."""
    cause = error.__cause__
    if isinstance(cause, ValidationError) and hasattr(cause, "error_dict"):
        return [(name, " ".join(sentences)) for name, sentences in cause.message_dict.items()]
    return [(_FIELDS.get(error.reason, ""), str(error))]
