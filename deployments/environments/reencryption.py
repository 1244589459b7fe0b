"""Writing stored secrets again with the newest key, so that an older one can be taken out of PORTAL_ENCRYPTION_KEYS."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from django.db.models.functions import Cast

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core import portal_keys
from deployments.core.actors import Actor
from deployments.models.encryption import EncryptedTextField, cipher


def encrypt_again(*, actor: Actor) -> dict[str, tuple[int, int]]:
    """Encrypt with the newest key what was encrypted with an older one.

    Returns for every stored field how many values were rewritten, and of how many. All of it is one transaction: after
    an error nothing has changed. Raises UndecryptableValue when none of the configured keys fits a value.
    """
    require(actor, Verb.ROTATE_KEYS)
    newest = Fernet(settings.ENCRYPTION_KEYS[0])
    done: dict[str, tuple[int, int]] = {}
    with transaction.atomic():
        for model, field in encrypted_fields():
            rows = _stored(model, field)
            older = [pk for pk, text in rows if not _opens(newest, text)]
            for pk in older:
                row = model._default_manager.select_for_update().only(field).get(pk=pk)
                row.save(update_fields=[field])
            done[f"{model._meta.label}.{field}"] = (len(older), len(rows))
        portal_keys.remember(only_newest=True)
        if any(rewritten for rewritten, _ in done.values()):
            trail.record(
                actor=actor,
                name="secrets.encrypted_again",
                subject="secrets",
                data={name: rewritten for name, (rewritten, _) in done.items()},
            )
    return done


def adopt_keys(*, actor: Actor) -> dict[str, int]:
    """Make the keys of this process the portal's, on purpose.

    Returns for every stored field that has any how many values they do not decrypt: those have to be set anew.
    """
    require(actor, Verb.ROTATE_KEYS)
    lost: dict[str, int] = {}
    with transaction.atomic():
        for model, field in encrypted_fields():
            unread = [pk for pk, text in _stored(model, field) if not _opens(cipher(), text)]
            if unread:
                lost[f"{model._meta.label}.{field}"] = len(unread)
        portal_keys.remember()
        trail.record(actor=actor, name="keys.adopted", subject="secrets", data=dict(lost))
    return lost


def encrypted_fields() -> list[tuple[type[models.Model], str]]:
    """Every field that holds secrets, whichever app it is in."""
    return [
        (model, field.name)
        for model in apps.get_models()
        for field in model._meta.local_fields
        if isinstance(field, EncryptedTextField)
    ]


def _stored(model: type[models.Model], field: str) -> list[tuple[int, str]]:
    """Keys and ciphertexts of the values that are not empty."""
    # the cast keeps the field from decrypting what it reads
    rows = model._default_manager.annotate(ciphertext=Cast(field, models.TextField()))
    return list(rows.exclude(ciphertext="").values_list("pk", "ciphertext"))


def _opens(key: Fernet | MultiFernet, ciphertext: str) -> bool:
    try:
        key.decrypt(ciphertext.encode())
    except InvalidToken:
        return False
    return True
