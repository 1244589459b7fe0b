"""Settings have types, and a wrong value is a sentence and no surprise later."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal import variables


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        (variables.BACKUP_KEEP, "", 14),
        (variables.BACKUP_KEEP, " 3 ", 3),
        (variables.DRILLS, "", True),
        (variables.DRILLS, "Off", False),
        (variables.DEBUG, "1", True),
        (variables.ALLOWED_HOSTS, "", ["localhost", "127.0.0.1", "[::1]"]),
        (variables.ALLOWED_HOSTS, "ops.example.org, 192.0.2.7,", ["ops.example.org", "192.0.2.7"]),
        (variables.URL, "https://ops.example.org/", "https://ops.example.org"),
        (variables.URL, "", "http://127.0.0.1:8080"),
    ],
)
def test_a_variable_is_read_as_what_it_is(
    variable: variables.Number, text: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable.name, text)
    assert variable.read() == value


@pytest.mark.parametrize(
    ("variable", "text", "must"),
    [
        (variables.BACKUP_KEEP, "many", "a whole number"),
        (variables.BACKUP_KEEP, "-1", "a whole number"),
        (variables.BACKUP_KEEP, "٣", "a whole number"),
        (variables.DRILLS, "sometimes", "on or off"),
        (variables.URL, "ops.example.org", "an address that begins with http:// or https://"),
        (variables.PROMETHEUS_URL, "file:///etc/passwd", "an address that begins with http:// or https://"),
    ],
)
def test_a_wrong_value_ends_the_start_with_a_sentence(
    variable: variables.Number, text: str, must: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable.name, text)
    with pytest.raises(ImproperlyConfigured) as refused:
        variable.read()
    assert str(refused.value) == f"{variable.name} is {text!r}; it must be {must}."
