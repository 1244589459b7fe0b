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

if TYPE_CHECKING:
    ModelForm = forms.ModelForm
else:

    class ModelForm(forms.ModelForm):
        """Django's class, which takes no type parameter at run time."""

        def __class_getitem__(cls, _model):
            return cls


MAX = 500


class PageForm(forms.Form):
    """A form about one object; subclasses look at `self.subject` and at who fills it in, `self.actor`."""

    def __init__(self, *args: Any, subject: Any = None, actor: Actor | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subject, self.actor = subject, actor
        self.prepare()

    def prepare(self) -> None:
        """Fit the fields to subject and actor."""


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


def number(label: str, *, help_text: str = "", **more: Any) -> forms.IntegerField:
    """A whole number."""
    return forms.IntegerField(label=label, help_text=help_text, widget=UnfoldAdminIntegerFieldWidget(), **more)


def choice(label: str, *, help_text: str = "", required: bool = True, form: str = "") -> forms.ChoiceField:
    """One of several, filled in by `prepare`; `form` is the id of its form where it stands outside of it."""
    widget = UnfoldAdminSelectWidget(attrs={"form": form} if form else None)
    return forms.ChoiceField(label=label, help_text=help_text, required=required, widget=widget)


def switch(label: str, *, help_text: str = "") -> forms.BooleanField:
    """Yes or no."""
    return forms.BooleanField(label=label, required=False, help_text=help_text, widget=UnfoldBooleanSwitchWidget())


class ReasonForm(PageForm):
    """Why."""

    reason = text("Reason", help_text="Kept in the audit trail and shown to whoever is affected.")


class CommentForm(PageForm):
    """Something to add, if one wants to."""

    comment = text("Comment", required=False, help_text="Kept in the audit trail and shown to the requester.")
