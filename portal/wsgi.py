"""The web process: gunicorn loads `portal.wsgi:application`."""

import sys
from collections.abc import Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

from portal import first_start

if why := first_start.set_up():
    print(why, file=sys.stderr)  # noqa: T201  (what starts us shows it)
    sys.exit(3)  # gunicorn ends then, where it would start other workers for ever

from deployments.core import portal_keys


class WithTheKeys:
    """Serves nothing with keys that are not the history's: a database that was away at the start is asked later."""

    def __init__(self) -> None:
        self._serve = get_wsgi_application()
        self._same = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not self._same:
            try:
                self._same = portal_keys.require_same()
            except portal_keys.OtherKeys as error:
                start_response("503 Service Unavailable", [("Content-Type", "text/plain; charset=utf-8")])
                return [f"{error.said}\n".encode()]
        return self._serve(environ, start_response)


application = WithTheKeys()
