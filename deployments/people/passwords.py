"""Giving an account a password, by its owner's choice."""

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from engine.errors import InvalidRequest


def put_password(person: User, password: str) -> None:
    """Set it without saving. Raises InvalidRequest (too weak)."""
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise InvalidRequest(
            " ".join(error.messages), hint="Choose another password.", reason="weak_password"
        ) from error
    person.set_password(password)
