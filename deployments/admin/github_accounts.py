"""Accounts on GitHub, on the page of their person: confirmed by a second one, unlinked by an administrator."""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User

from deployments.access.verbs import Verb
from deployments.admin.confirmations import Confirmation
from deployments.admin.forms import PageForm, number
from deployments.core.actors import Actor
from deployments.github.accounts import confirm_account, unlink_account
from deployments.models import GitHubAccount


class NumberForm(PageForm):
    """What the account's person has read out."""

    account_id = number(
        "Its number",
        min_value=1,
        max_value=2**63 - 1,
        help_text="As the person reads it to you: gh api user --jq .id shows it to them.",
    )


class ConfirmGitHub(Confirmation[User]):
    """It is theirs."""

    slug = "confirm-github"
    label = "Confirm GitHub account"
    icon = "verified_user"
    tone = "good"
    verb = Verb.CONFIRM_KEY
    form_class = NumberForm

    def offered(self, obj: User, actor: Actor) -> bool:
        """While one waits, to anybody but its person."""
        waiting = GitHubAccount.objects.filter(person=obj, confirmed_at=None)
        return obj.get_username() not in actor.people and waiting.exists()

    def consequences(self, obj: User) -> Sequence[str]:
        """What confirming does."""
        return [
            f"What that account pushes and starts counts as asked by {obj}, with their roles: they do not approve it.",
            "Compare on another way than this portal: in person, or by a call.",
        ]

    def perform(self, *, actor: Actor, obj: User, data: dict[str, Any]) -> str:
        """Confirm it."""
        account = confirm_account(actor=actor, person=obj, account_id=data["account_id"])
        return f"{account} on GitHub is {obj.get_username()}'s."


class UnlinkGitHub(Confirmation[User]):
    """For an account that is somebody else's."""

    slug = "unlink-github"
    label = "Unlink GitHub account"
    icon = "link_off"
    tone = "bad"
    verb = Verb.MANAGE_PEOPLE

    def offered(self, obj: User, actor: Actor) -> bool:
        """While one is linked."""
        return GitHubAccount.objects.filter(person=obj).exists()

    def consequences(self, obj: User) -> Sequence[str]:
        """What happens."""
        return ["What it starts on GitHub is nobody's from now on, and tokens of its runs end. It can be linked again."]

    def perform(self, *, actor: Actor, obj: User, data: dict[str, Any]) -> str:
        """Unlink it."""
        unlink_account(actor=actor, person=obj)
        return f"No account on GitHub is linked to {obj.get_username()}."
