"""`/invitation/#…`: somebody who was invited, or whose account was recovered, chooses a password.

What the link ends in never reaches a log: browsers keep what stands after `#`, a script moves it into the form, and the
body of a POST is recorded by nobody.
"""

from django import forms
from django.contrib.auth.password_validation import password_validators_help_texts
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from deployments.admin.sign_in import let_in
from deployments.people.invitations import accept_invitation
from engine.errors import PortalError


class InvitationForm(forms.Form):
    """The token, filled in by the script, and a password twice."""

    token = forms.CharField(max_length=100, widget=forms.HiddenInput)
    password = forms.CharField(
        strip=False, max_length=1000, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )
    again = forms.CharField(
        label="Repeat the password", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def clean_again(self) -> str:
        """Both must be equal."""
        again: str = self.cleaned_data["again"]
        if self.cleaned_data.get("password") != again:
            raise forms.ValidationError("The two passwords differ.")
        return again


@require_http_methods(["GET", "POST"])
def invitation_page(request: HttpRequest) -> HttpResponse:
    """The form; whoever has chosen a password is in, and goes on to their account."""
    form, error = InvitationForm(request.POST if request.method == "POST" else None), None
    if request.method == "POST" and form.is_valid():
        try:
            person = accept_invitation(token=form.cleaned_data["token"], password=form.cleaned_data["password"])
        except PortalError as refused:
            error = refused
        else:
            return let_in(request, person, by="invitation", onward=reverse("admin:account"))
    context = {"form": form, "error": error, "rules": password_validators_help_texts()}
    status = error.http_status if error else (422 if form.errors else 200)
    return render(request, "invitation.html", context, status=status)
