"""Encrypting stored secrets with a new key."""

from typing import Any

import pytest
from cryptography.fernet import Fernet

from deployments.core.actors import system_actor
from deployments.environments.reencryption import encrypt_again, encrypted_fields
from deployments.models import AuditEvent, Environment, Secret
from deployments.models.encryption import UndecryptableValue
from tests.deployments.management.commands import exit_code

pytestmark = pytest.mark.django_db

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def secret(settings: Any) -> Secret:
    """A secret that was stored with the old key."""
    settings.ENCRYPTION_KEYS = [OLD]
    environment = Environment.objects.get(name="test")
    environment.private_key = "a private key"
    environment.save()
    return Secret.objects.create(environment=environment, name="password", version=1, value="hunter2")


def test_afterwards_the_old_key_is_not_needed_and_every_value_is_the_same(secret: Secret, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    done = encrypt_again(actor=system_actor("tests"))
    assert done["deployments.Secret.value"] == done["deployments.Environment.private_key"] == (1, 1)
    settings.ENCRYPTION_KEYS = [NEW]
    secret.refresh_from_db()
    assert secret.value == "hunter2"
    assert Environment.objects.get(name="test").private_key == "a private key"
    assert AuditEvent.objects.get(name="secrets.encrypted_again").data["deployments.Secret.value"] == 1


def test_doing_it_twice_changes_nothing(secret: Secret, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    encrypt_again(actor=system_actor("tests"))
    assert encrypt_again(actor=system_actor("tests"))["deployments.Secret.value"] == (0, 1)
    assert AuditEvent.objects.filter(name="secrets.encrypted_again").count() == 1


def test_a_value_that_no_key_opens_stops_all_of_it(secret: Secret, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [NEW]
    with pytest.raises(UndecryptableValue):
        encrypt_again(actor=system_actor("tests"))
    assert exit_code("rotate_secrets") == 1
    settings.ENCRYPTION_KEYS = [OLD]
    secret.refresh_from_db()
    assert secret.value == "hunter2"


def test_every_field_that_holds_a_secret_is_found() -> None:
    found = {f"{model._meta.model_name}.{field}" for model, field in encrypted_fields()}
    assert {"secret.value", "environment.private_key"} <= found


def test_the_command_tells_how_many(secret: Secret, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert exit_code("rotate_secrets") == 0
    settings.ENCRYPTION_KEYS = [NEW]
    secret.refresh_from_db()
    assert secret.value == "hunter2"
