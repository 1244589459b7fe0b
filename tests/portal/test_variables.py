"""Settings have types, and a wrong value is a sentence and no surprise later."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal import variables

ROOT = "an address without a path, like https://ops.example.org: the portal is served at its root"


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
        (variables.PROXIES, "", []),
        (variables.PROXIES, "192.0.2.5, 2001:DB8::7", ["192.0.2.5", "2001:db8::7"]),
        (variables.URL, "https://ops.example.org/", "https://ops.example.org"),
        (variables.URL, "http://ops.lan:18380", "http://ops.lan:18380"),
        (variables.URL, "http://Ops.lan/", "http://Ops.lan"),
        (variables.URL, "http://[2001:db8::7]:8080", "http://[2001:db8::7]:8080"),
        (variables.PROMETHEUS_URL, "", ""),
        (variables.ALERTMANAGER_URL, "", ""),
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
        (variables.PROXIES, "192.0.2.5, balancer", "IP addresses, separated by commas"),
        (variables.URL, "https://ops.example.org/portal", ROOT),
        (variables.URL, "https://ops.example.org?a", ROOT),
        (variables.URL, "https://ops.example.org#a", ROOT),
        (variables.URL, "https://me:secret@ops.example.org", ROOT),
        (variables.URL, "https://", ROOT),
        (variables.URL, "https://*", ROOT),
        (variables.URL, "https://.example.org", ROOT),
        (variables.URL, "https://ops.example.org:many", ROOT),
        (variables.URL, "https://[::1", ROOT),
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


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://ops.lan:18380", "ops.lan"), ("http://OPS.lan", "ops.lan"), ("http://[2001:db8::7]:80", "[2001:db8::7]")],
)
def test_the_portal_answers_to_the_host_of_its_own_address(url: str, host: str, tmp_path: Path) -> None:
    environment = os.environ | {"PORTAL_URL": url, "PORTAL_STATE_DIR": str(tmp_path / "state")}
    environment.pop("PORTAL_ALLOWED_HOSTS", None)
    told = [sys.executable, "-c", "from portal import settings; print(settings.ALLOWED_HOSTS)"]
    done = subprocess.run(told, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert host in ast.literal_eval(done.stdout)
