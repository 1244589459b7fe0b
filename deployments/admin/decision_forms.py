"""What is said with an answer to a request: a rejection needs it, and so does approving what has failed before."""

from django import forms
from django.core.exceptions import ValidationError

from deployments.admin.forms import PageForm, text
from deployments.requests.release_records import records_of
from engine.ssh.signatures import MAX_SIGNATURE


class DecisionForm(PageForm):
    """What one says with either answer, and what the person's passkey has signed; both pages have this form."""

    comment = text(
        "Comment (needed to reject)",
        required=False,
        help_text="It is kept in the audit trail and shown to the requester.",
    )
    signature = forms.CharField(required=False, max_length=MAX_SIGNATURE, widget=forms.HiddenInput)

    def prepare(self) -> None:
        """Where something speaks against the release, either answer needs a comment."""
        rows = [self.subject.release] if self.subject is not None else []
        self.doubtful = any(one.doubtful for one in records_of(rows, without=self.subject))
        if self.doubtful:
            self.fields["comment"].label = "Comment (needed)"


class ApproveForm(DecisionForm):
    """Why it may go, where something speaks against it."""

    def clean_comment(self) -> str:
        """Something to read for whoever asks later why it was let through."""
        comment = str(self.cleaned_data["comment"])
        if self.doubtful and not comment.strip():
            raise ValidationError("This release has trouble on record: say why it may go nevertheless.")
        return comment


class RejectForm(DecisionForm):
    """Why not."""

    def clean_comment(self) -> str:
        """Something to read for whoever asked."""
        if not (comment := str(self.cleaned_data["comment"])).strip():
            raise ValidationError("A rejection needs a reason: whoever asked reads what should change.")
        return comment
