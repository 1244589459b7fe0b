"""Provisioning from the browser: the account that may become root, and the operation that follows it."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminPasswordWidget

from deployments.access.verbs import Verb
from deployments.admin.confirmations import Confirmation, Made
from deployments.admin.forms import PageForm, WriteOnly, word
from deployments.core.actors import Actor
from deployments.models import Server
from deployments.operations.provisioning import BootstrapAccount, ask_for_provisioning
from deployments.servers.provisioning import release_to_provision
from engine.errors import PortalError
from engine.ssh.keys import EncryptedKey


class BootstrapForm(PageForm):
    """Who may become root there; nothing of it is shown or kept."""

    account = word("Account", initial="root", max_length=32, help_text="root, or an account that may use sudo.")
    key = forms.CharField(
        label="Its private key",
        strip=False,
        max_length=20_000,
        widget=WriteOnly(),
        help_text="The whole file, from BEGIN to END. Its public half is in the account's authorized_keys there.",
    )
    passphrase = forms.CharField(
        label="Passphrase of the key", required=False, strip=False, widget=UnfoldAdminPasswordWidget()
    )
    password = forms.CharField(
        label="Password for sudo",
        required=False,
        strip=False,
        widget=UnfoldAdminPasswordWidget(),
        help_text="Only where sudo asks that account for one.",
    )

    def prepare(self) -> None:
        """No browser keeps it either."""
        for name in ("passphrase", "password"):
            self.fields[name].widget.attrs |= {"autocomplete": "off"}
        self.fields["account"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def clean(self) -> dict[str, Any]:
        """A key that opens, said beside its field."""
        given = super().clean() or self.cleaned_data
        if given.get("key"):
            given["key"] = given["key"].replace("\r\n", "\n").strip() + "\n"
            try:
                account_in(given).private_key()
            except EncryptedKey as error:
                self.add_error("passphrase", ValidationError(str(error)))
            except PortalError as error:
                self.add_error("key", ValidationError(error.message))
        return given


def account_in(given: dict[str, Any]) -> BootstrapAccount:
    """What the form holds."""
    return BootstrapAccount(given.get("account", ""), given["key"], given["passphrase"], given["password"])


class Provision(Confirmation[Server]):
    """Make a server ready, by a worker."""

    slug = "provision"
    label = "Provision"
    icon = "construction"
    tone = "good"
    verb = Verb.PROVISION
    form_class = BootstrapForm

    def offered(self, obj: Server, actor: Actor) -> bool:
        """While it is in service."""
        return obj.state != Server.State.RETIRED

    def refusal(self, obj: Server, actor: Actor) -> PortalError | None:
        """Neither without the role, nor without a release whose units there would be."""
        if why := super().refusal(obj, actor):
            return why
        try:
            release_to_provision(obj)
        except PortalError as error:
            return error
        return None

    def consequences(self, obj: Server) -> Sequence[str]:
        """What is made, whose units, and what becomes of the key."""
        try:
            release, why = release_to_provision(obj)
        except PortalError:
            return []
        return [
            f"Accounts, directories, sudo rules, units and firewall are made on {obj.host}, and the environment's "
            "secrets brought. What is right already stays as it is.",
            f"The units are those of {release}{f', {why}' if why else ''}.",
            "A worker signs in there with the key below. It lies encrypted until the worker begins, and is deleted "
            "then; if none begins within six minutes, the next one that looks after what is lost deletes it. No log, "
            "page or record shows it.",
            f"A key that only an ssh-agent holds: run manage.py provision {obj} where the agent is.",
        ]

    def perform(self, *, actor: Actor, obj: Server, data: dict[str, Any]) -> Made:
        """Ask for it."""
        row = ask_for_provisioning(actor=actor, server=obj, account=account_in(data))
        return Made(f"{row} is under way.", row)
