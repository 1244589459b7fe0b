"""Settings of the portal, read from the environment.

Without any variable it runs on embedded defaults, for one machine: SQLite, the ORM broker and secrets of its own, all
in `PORTAL_STATE_DIR`. Every variable is in `portal.variables`, and described in docs/settings.md.
"""

from pathlib import Path

from portal import environment, variables
from portal.appearance import UNFOLD as UNFOLD
from portal.first_start import FirstStart, keep_private

BASE_DIR = environment.BASE_DIR
VERSION = environment.version()

env = environment.read()
STATE_DIR = environment.state_dir()
keep_private(STATE_DIR)

DATABASES = {"default": environment.database(env, STATE_DIR)}
_first = FirstStart(STATE_DIR, DATABASES["default"])
SECRET_KEY = environment.secret(env, "PORTAL_SECRET_KEY", _first, environment.new_secret_key)
# Newest first: the first one encrypts, all of them decrypt.
ENCRYPTION_KEYS = environment.secret(env, "PORTAL_ENCRYPTION_KEYS", _first, environment.new_encryption_key).split(",")
DEBUG = variables.DEBUG.read()
PORTAL_URL = variables.URL.read()
ALLOWED_HOSTS = [*variables.ALLOWED_HOSTS.read(), variables.host_of(PORTAL_URL)]
PROXIES = variables.PROXIES.read()
PROMETHEUS_URL = variables.PROMETHEUS_URL.read()
ALERTMANAGER_URL = variables.ALERTMANAGER_URL.read()
# Asked every minute while monitoring is heard; a secret, since who knows it can pretend that all is well.
PING_URL = environment.optional_secret(env, "PORTAL_PING_URL")
# Asked for the keys that workflows' identities are signed with (deployments/github/issuer.py).
GITHUB_ISSUER = variables.GITHUB_ISSUER.read()
OIDC_ISSUER = variables.OIDC_ISSUER.read()
OIDC_CLIENT_ID = variables.OIDC_CLIENT_ID.read()
OIDC_CLIENT_SECRET = environment.optional_secret(env, "PORTAL_OIDC_CLIENT_SECRET")
DRILLS = variables.DRILLS.read()
BACKUP_DIR = Path(variables.BACKUP_DIR.read() or STATE_DIR / "backups")
BACKUP_KEEP = variables.BACKUP_KEEP.read()
KEEP_RELEASES = variables.KEEP_RELEASES.read()
KEEP_LOG_DAYS = variables.KEEP_LOG_DAYS.read()

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # the other one would replace our admin site
    "portal.apps.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_prometheus",
    "django_q",
    "axes",
    "csp",
    "deployments",
    "dashboard",
    "portal",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.middleware.NothingIsKept",
    "portal.middleware.NoRoom",
    "portal.middleware.ApiProblems",
    "portal.request_limits.Bounds",
    "portal.hidden_characters.HiddenCharacters",
    "csp.middleware.CSPMiddleware",
    "portal.middleware.AdminContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "portal.middleware.SessionsAreSeen",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "portal" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "deployments.access.backends.NotByPasswordAlone",  # before whatever takes passwords
    "django.contrib.auth.backends.ModelBackend",
    "deployments.access.backends.ByCode",
    "deployments.access.backends.ByPasskey",
    "deployments.access.backends.BySingleSignOn",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_SENSITIVE_PARAMETERS = ["code", "signature"]  # beside the password: what it keeps of a request that failed
AXES_LOCKOUT_TEMPLATE = "locked_out.html"
AXES_CLIENT_IP_CALLABLE = "deployments.access.sign_ins.counted_address"
AXES_HANDLER = "deployments.access.sign_ins.LockOut"

LANGUAGE_CODE = "en-gb"
FORMAT_MODULE_PATH = ["portal.formats"]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "static/"
STATIC_ROOT = STATE_DIR / "static"
MEDIA_ROOT = STATE_DIR / "artifacts"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# Cookies and transport: strict as soon as the portal is reached over TLS.
OVER_TLS = PORTAL_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [PORTAL_URL]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = OVER_TLS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Strict"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if OVER_TLS else None
SECURE_SSL_REDIRECT = OVER_TLS
# Bot, Prometheus and Alertmanager on the same machine speak to the web process itself, with tokens; it listens on
# 127.0.0.1 alone, and the proxy in front sends everybody else to https.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^metrics$", r"^api/"]
SECURE_HSTS_SECONDS = 31536000 if OVER_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = OVER_TLS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "manifest-src": ["'self'"],
    }
}

# Delivery is at least once, whatever these say (docs/decisions/0003-queue.md): a task carries an id and claims its row
# first. Own deadline of a deployment's round (600 s) < timeout < retry.
_CLUSTER = {
    "workers": 1,
    "queue_limit": 1,
    "timeout": 900,
    "retry": 3600,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "bulk": 1,
    "poll": 0.2,
    "recycle": 500,
    "save_limit": 1000,
}
Q_CLUSTER = {
    **_CLUSTER,
    "name": "default",
    "orm": "default",
    "broker_class": "deployments.core.queueing.Queue",
    "time_zone": "UTC",
    "label": "Task queue",
    "ALT_CLUSTERS": {
        # somebody waits for these: looking 20 times a second takes a sixtieth of a core
        "deploys": {**_CLUSTER, "workers": 2, "queue_limit": 2, "poll": 0.05},
        # a host that only says that it lives holds one of them, and others' way back must not wait for it
        "rescue": {**_CLUSTER, "workers": 4, "queue_limit": 4, "poll": 0.05},
        "default": _CLUSTER,
    },
}

PROMETHEUS_EXPORT_MIGRATIONS = False
LOGGING = environment.logging("DEBUG" if DEBUG else "INFO")
SILENCED_SYSTEM_CHECKS: list[str] = []
TEST_RUNNER = "django.test.runner.DiscoverRunner"
