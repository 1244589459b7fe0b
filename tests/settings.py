"""Settings of the tests: the portal's own, with state in a directory that goes when the run ends."""

import atexit
import os
import shutil
import tempfile

_state = tempfile.mkdtemp(prefix="portal-tests-")
_owner = os.getpid()


def _remove() -> None:
    if os.getpid() == _owner:  # not in a process forked from the tests
        shutil.rmtree(_state, ignore_errors=True)


atexit.register(_remove)
os.environ["PORTAL_STATE_DIR"] = _state
os.environ["ALERTMANAGER_URL"] = "http://127.0.0.1:9"  # nobody's: tests that need one start their own
os.environ["PROMETHEUS_URL"] = "http://127.0.0.1:9090"
for _name in ("PORTAL_TOKEN", "PORTAL_TOKEN_FILE", "PORTAL_URL"):
    os.environ.pop(_name, None)

from django.conf import global_settings  # noqa: E402

from portal.settings import *  # noqa: E402, F403  (the variables above must be set before)
from portal.settings import DATABASES, STORAGES  # noqa: E402

if "init_command" in DATABASES["default"].get("OPTIONS", {}):
    DATABASES["default"]["OPTIONS"]["init_command"] += " PRAGMA synchronous=OFF;"  # no test pulls this machine's plug

# A password costs 0.6 s with the portal's own hasher, which is last here: what was stored with it can still be checked.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *global_settings.PASSWORD_HASHERS]
STORAGES = {  # without collecting them first
    **STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
