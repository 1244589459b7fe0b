"""By what people sign in, and the link that waits for who cannot yet: for one person or a whole list, in one go."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.utils import timezone

from deployments.models import AuthenticatorApp, Invitation, RecoveryCode, SigningKey, SingleSignOn


@dataclass(frozen=True)
class WaysIn:
    """What lets one person in; `link_until` is when their last unused link ends or has ended."""

    password: bool = False
    app: bool = False
    passkeys: int = 0
    codes: int = 0
    sign_on: SingleSignOn | None = None
    link_until: datetime | None = None

    @property
    def any(self) -> bool:
        """Whether they can sign in at all."""
        return self.password or self.app or bool(self.passkeys) or self.sign_on is not None

    @property
    def password_alone(self) -> bool:
        """Whether who knows the password needs nothing else."""
        return self.password and not self.app and not self.passkeys

    @property
    def link_open(self) -> bool:
        """Whether a link waits for them that still works."""
        return self.link_until is not None and self.link_until > timezone.now()

    @property
    def words(self) -> list[str]:
        """What they have, the strongest first."""
        password = "Password and app" if self.app else "Password alone" if self.password_alone else ""
        return [
            *(["Passkey"] if self.passkeys else []),
            *(["Single sign-on"] if self.sign_on else []),
            *([password] if password else []),
        ]


def ways_in(people: Iterable[User]) -> dict[int, WaysIn]:
    """Of each of these people, by number; five questions to the database however many they are."""
    rows = list(people)
    apps = set(
        AuthenticatorApp.objects.filter(person__in=rows, confirmed_at__isnull=False).values_list("person", flat=True)
    )
    keys = SigningKey.objects.filter(person__in=[row.get_username() for row in rows], revoked_at=None)
    passkeys = Counter(keys.exclude(credential="").values_list("person", flat=True))
    codes = Counter(RecoveryCode.objects.filter(person__in=rows, used_at=None).values_list("person", flat=True))
    sign_ons = {row.person_id: row for row in SingleSignOn.objects.filter(person__in=rows)}
    links = Invitation.objects.filter(person__in=rows, used_at=None, ended_at=None).order_by("expires_at")
    until = dict(links.values_list("person", "expires_at"))
    return {
        row.pk: WaysIn(
            password=row.has_usable_password(),
            app=row.pk in apps,
            passkeys=passkeys[row.get_username()],
            codes=codes[row.pk],
            sign_on=sign_ons.get(row.pk),
            link_until=until.get(row.pk),
        )
        for row in rows
    }
