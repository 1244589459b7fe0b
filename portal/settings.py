"""Settings of the portal, from the environment, with embedded defaults for one machine."""

SECRET_KEY = "replaced below"
INSTALLED_APPS: list[str] = []
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
