"""People who are told of public incidents by e-mail: they ask, confirm by a link, and end it by a link of each mail.

Nobody learns from an answer who has subscribed: every address is answered alike, and what differs is in its mailbox.
Links carry tokens that are made when a mail leaves (`links_of`); stored are their digests, and what they are made of,
encrypted. What leaves goes by the channel that an administrator chose for it, tried again as every message is.
"""

import hashlib
import hmac
import secrets
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from deployments.core import queueing
from deployments.core.read_only import refuse_change
from deployments.models import NotificationChannel, NotificationDelivery, Subscriber
from engine.errors import InvalidRequest

ADDRESS_CHARACTERS = 254
"""Of RFC 5321."""
CONFIRM_WITHIN = timedelta(hours=24)
ASKED_AGAIN = timedelta(hours=24)
"""So often a mailbox is sent a mail that somebody asked for here, whoever it was."""
_is_address = EmailValidator(allowlist=[])
CONFIRM, INCIDENT = "subscription", "incident"


def mail_channel() -> NotificationChannel | None:
    """The channel that mails subscribers; None where nobody can subscribe."""
    return NotificationChannel.objects.filter(enabled=True, mails_subscribers=True).order_by("pk").first()


def confirmed() -> int:
    """How many are told."""
    return Subscriber.objects.exclude(confirmed_at=None).count()


def subscribe(address: str, *, to: str) -> None:
    """Send `address` a link that confirms, or ends, its subscription to incidents of the page `to`.

    One that was sent a link within `ASKED_AGAIN` gets none. Raises InvalidRequest (no address), NotInCharge.
    """
    refuse_change()
    address = _checked(address)
    channel, now = mail_channel(), timezone.now()
    digest = salted_hmac("deployments.subscriber", _mailbox(address), algorithm="sha256").hexdigest()
    forget_unconfirmed()
    with transaction.atomic():
        row, new = Subscriber.objects.get_or_create(
            address_digest=digest, defaults={"address": address, "asked_at": now, **_fresh()}
        )
        due = Subscriber.objects.filter(pk=row.pk, asked_at__lt=now - ASKED_AGAIN).update(asked_at=now)
        if channel is None or not (new or due):
            return
        title, body = f"Subscribe to incidents of {to}", "Somebody, likely you, asked for this address to be told."
        if row.confirmed_at:
            title, body = f"Incidents of {to}", "This address is told of incidents already. Nothing has changed."
        NotificationDelivery.objects.create(
            channel=channel, subscriber=row, event=CONFIRM, subject="subscribers", title=title[:250], body=body
        )
        queueing.enqueue_delivery()


def confirm(token: str) -> bool:
    """Begin telling whoever holds this token; False when it was used, is too old or is none. Raises NotInCharge."""
    refuse_change()
    now = timezone.now()
    rows = Subscriber.objects.filter(confirmation=_digest(token), asked_at__gte=now - CONFIRM_WITHIN)
    return rows.update(confirmed_at=now, confirmation=None) == 1


def unsubscribe(token: str) -> bool:
    """Forget whoever holds this token, with what waits for them; False when there is nobody. Raises NotInCharge."""
    refuse_change()
    return Subscriber.objects.filter(cancellation=_digest(token)).delete()[0] > 0


def forget_unconfirmed() -> None:
    """Delete the addresses whose owners did not confirm in time."""
    Subscriber.objects.filter(confirmed_at=None, asked_at__lt=timezone.now() - CONFIRM_WITHIN).delete()


def tell_subscribers(*, subject: str, title: str, lines: list[str]) -> None:
    """Write one waiting mail for each, in the caller's transaction."""
    if (channel := mail_channel()) is None:
        return
    body = "\n".join(line for line in lines if line)
    rows = Subscriber.objects.exclude(confirmed_at=None).only("pk")
    NotificationDelivery.objects.bulk_create(
        (
            NotificationDelivery(
                channel=channel, subscriber=row, event=INCIDENT, subject=subject, title=title[:250], body=body
            )
            for row in rows.iterator()
        ),
        batch_size=500,
    )
    queueing.enqueue_delivery()


def links_of(row: Subscriber) -> tuple[str, str]:
    """Where `row` is confirmed, and where it is ended; the first is empty once it has been confirmed."""
    confirms, ends = (_token(str(row.secret), purpose) for purpose in ("confirm", "end"))
    start = f"{settings.PORTAL_URL}/incidents/subscription"
    return "" if row.confirmed_at else f"{start}/confirm/{confirms}/", f"{start}/end/{ends}/"


def _fresh() -> dict[str, str]:
    secret = secrets.token_urlsafe(32)
    return {
        "secret": secret,
        "confirmation": _digest(_token(secret, "confirm")),
        "cancellation": _digest(_token(secret, "end")),
    }


def _token(secret: str, purpose: str) -> str:
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _mailbox(address: str) -> str:
    """Where it most likely ends: `rosa+anything@…` is Rosa's."""
    local, _, domain = address.lower().rpartition("@")
    return f"{local.partition('+')[0] or local}@{domain}"


def _checked(address: str) -> str:
    address = address.strip()
    try:
        if not address.isascii() or '"' in address:  # what mail programs write in ways of their own
            raise ValidationError("characters")
        _is_address(address[: ADDRESS_CHARACTERS + 1])
    except ValidationError as error:
        raise InvalidRequest(
            "This is no e-mail address.", hint="Write it as in name@example.org; one address at a time."
        ) from error
    if len(address) > ADDRESS_CHARACTERS:
        raise InvalidRequest(f"An e-mail address has {ADDRESS_CHARACTERS} characters at most.")
    return address
