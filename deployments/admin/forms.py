"""Forms of the confirmation pages, with Unfold's widgets."""

from typing import TYPE_CHECKING, Any

from django import forms
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from deployments.core.actors import Actor
from engine.redaction import redacted


class _Shown(forms.BoundField):
    """A field whose page gives back what was typed, and no credential that was typed by mistake."""

    def value(self) -> Any:
        """What its widget shows."""
        value = super().value()
        return redacted(value) if isinstance(value, str) and self.form.is_bound else value


if TYPE_CHECKING:
    ModelForm = forms.ModelForm
else:

    class ModelForm(forms.ModelForm):
        """Django's class, which takes no type parameter at run time."""

        bound_field_class = _Shown

        def add_error(self, field, error):
            """A sentence repeats no credential either."""
            super().add_error(field, _said(error))

        def __class_getitem__(cls, _model):
            return cls


MAX = 500


class PageForm(forms.Form):
    """A form about one object; subclasses look at `self.subject` and at who fills it in, `self.actor`."""

    bound_field_class = _Shown

    def __init__(self, *args: Any, subject: Any = None, actor: Actor | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subject, self.actor = subject, actor
        self.prepare()

    def prepare(self) -> None:
        """Fit the fields to subject and actor."""

    def add_error(self, field: str | None, error: Any) -> None:
        """A sentence repeats no credential either."""
        super().add_error(field, _said(error))


def _said(error: Any) -> Any:
    """The same refusal, without what looks like a credential."""
    known = error if isinstance(error, forms.ValidationError) else forms.ValidationError(error)
    if not any(redacted(sentence) != sentence for sentence in known.messages):
        return error
    if hasattr(known, "error_dict"):
        return forms.ValidationError({name: list(map(redacted, told)) for name, told in known.message_dict.items()})
    return forms.ValidationError(list(map(redacted, known.messages)))


class WriteOnly(UnfoldAdminTextareaWidget):  # type: ignore[misc]  # unfold has no types
    """Several lines that are covered while they are typed, and that no page gives back."""

    def __init__(self) -> None:
        super().__init__(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"})
        self.attrs["class"] = f"{self.attrs.get('class', '')} cy-covered"

    def format_value(self, value: Any) -> str:
        """Nothing, whatever was typed."""
        return ""


def text(label: str, *, required: bool = True, help_text: str = "") -> forms.CharField:
    """A few sentences."""
    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3, "maxlength": MAX})
    return forms.CharField(label=label, required=required, max_length=MAX, help_text=help_text, widget=widget)


def word(label: str, *, required: bool = True, help_text: str = "", **more: Any) -> forms.CharField:
    """One line."""
    return forms.CharField(
        label=label, required=required, help_text=help_text, widget=UnfoldAdminTextInputWidget(), **more
    )


def when(label: str, *, required: bool = True, help_text: str = "") -> forms.CharField:
    """A date and a time, in UTC, from the browser's own picker; `core.moments.moment` reads what it sends."""
    widget = UnfoldAdminTextInputWidget()
    widget.input_type = "datetime-local"
    return forms.CharField(label=label, required=required, max_length=40, help_text=help_text, widget=widget)


def number(label: str, *, help_text: str = "", **more: Any) -> forms.IntegerField:
    """A whole number."""
    return forms.IntegerField(label=label, help_text=help_text, widget=UnfoldAdminIntegerFieldWidget(), **more)


def choice(label: str, *, help_text: str = "", required: bool = True) -> forms.ChoiceField:
    """One of several, filled in by `prepare`."""
    return forms.ChoiceField(label=label, help_text=help_text, required=required, widget=UnfoldAdminSelectWidget())


def switch(label: str, *, help_text: str = "") -> forms.BooleanField:
    """Yes or no."""
    return forms.BooleanField(label=label, required=False, help_text=help_text, widget=UnfoldBooleanSwitchWidget())


class ReasonForm(PageForm):
    """Why."""

    reason = text("Reason", help_text="Kept in the audit trail and shown to whoever is affected.")


class CommentForm(PageForm):
    """Something to add, if one wants to."""

    comment = text("Comment", required=False, help_text="Kept in the audit trail and shown to the requester.")
