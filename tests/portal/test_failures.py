"""What broke a request, in a sentence, where whoever runs the portal can do something about it."""

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth import get_user_model
from django.test import Client

from deployments.models import Environment

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]


def test_a_secret_that_this_machine_lacks_the_key_of_is_a_sentence(settings: Any) -> None:
    root = get_user_model().objects.create_superuser("root")
    Environment.objects.filter(name="test").update(private_key="a key")
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    browser = Client(raise_request_exception=False)
    browser.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    answer = browser.get("/admin/deployments/environment/")
    page = answer.content.decode()
    assert answer.status_code == 503
    assert "This machine lacks a key" in page
    assert "/docs/troubleshooting/#ops-undecryptable" in page
