"""The web process: gunicorn loads `portal.wsgi:application`."""

import sys

from django.core.wsgi import get_wsgi_application

from portal import first_start

if why := first_start.set_up():
    print(why, file=sys.stderr)  # noqa: T201  (what starts us shows it)
    sys.exit(3)  # gunicorn ends then, where it would start other workers for ever
application = get_wsgi_application()
