"""Django settings, made from the configuration (config.py). Nothing else reads YAML or the environment."""

import os
import sys
from datetime import timedelta
from pathlib import Path

import django_stubs_ext
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from instantlite import config as configuration
from instantlite import embedded
from instantlite.caching import cache_settings
from instantlite.logs import logging_config

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

# Before the first `manage.py up` the embedded server has no address yet. Commands that need no database (up,
# makemigrations --check, mypy) still have to load this file; one that does need it fails to connect and says so.
_NOT_SET_UP = "postgresql://instantlite@127.0.0.1:1/instantlite"


def _load() -> tuple[configuration.Config, bool]:
    """The configuration, and whether its database is the embedded one: that stands in where none is named."""
    named = configuration.load()
    if named.database.platform_url:
        return named, False
    kept = embedded.urls(named.server.data_dir)
    if kept is None:
        return named, True
    addresses = {"DATABASE_URL": kept.platform}
    if not named.clusters():
        addresses["CUSTOMER_DATABASE_URL"] = kept.customer
    return configuration.load(os.environ | addresses), True


try:
    INSTANTLITE, EMBEDDED = _load()
except configuration.ConfigError as error:
    configuration.fatal(error)

_server = INSTANTLITE.server
_database = INSTANTLITE.database
PLATFORM_URL = _database.platform_url or _NOT_SET_UP
# The clusters that tenants' databases are made on, by name.
CLUSTERS = {cluster.name: cluster for cluster in INSTANTLITE.clusters()}


def _secret_key() -> str:
    """The configured key, or the one that `up` keeps in the data folder of a single machine.

    Instances that share a database must share the key, so a configured database without a key stops the start.
    """
    if _server.secret_key:
        return _server.secret_key
    kept = _server.data_dir / "secret_key"
    if kept.is_file():
        return kept.read_text().strip()
    if not EMBEDDED and "up" not in sys.argv[1:2]:
        configuration.fatal(
            configuration.ConfigError(
                "SECRET_KEY",
                "server.secret_key",
                "a configured database needs a key that all instances share; set SECRET_KEY to 50 random characters",
            )
        )
    return "not-a-secret-until-the-first-start-has-made-one"


SECRET_KEY = _secret_key()
DEBUG = _server.debug
# Probes of the machine itself, `up` among them, come by these names whatever the site is called.
ALLOWED_HOSTS = list(dict.fromkeys((*_server.allowed_hosts, "localhost", "127.0.0.1")))

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "instantlite",
    "ratelimit",
    "provisioning",
    "webhooks",
]

MIDDLEWARE = [
    "instantlite.recovery.RecoveryMiddleware",
    "webhooks.middleware.ReceiveMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "ratelimit.middleware.RateLimitMiddleware",
    "instantlite.recovery.BodyLimitMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "instantlite.urls"
WSGI_APPLICATION = "instantlite.wsgi.application"
# Ours: what wsgi.py wraps around Django, the last one outermost.
WSGI_MIDDLEWARE = ["webhooks.receiver.Receiver"]
APPEND_SLASH = False  # API paths answer with and without the slash; a redirect would lose a POST's body.

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def _platform_database(url: str) -> dict[str, object]:
    parts = conninfo_to_dict(url)
    named = {name.upper(): parts.pop(name, "") for name in ("user", "password", "host", "port")}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", ""),
        **named,
        # The pool holds connections, not Django's per-thread cache: under gevent each request is a thread of its own.
        "CONN_MAX_AGE": 0,
        # The pool tries a connection before it hands it out (an empty query): after a restart of PostgreSQL each stale
        # one would otherwise fail a request, perhaps hours later.
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **parts,
            "connect_timeout": max(1, round(_database.pool_timeout.total_seconds())),
            "application_name": "instantlite",
            "pool": {
                "min_size": _database.pool_min,
                "max_size": _database.pool_max,
                "timeout": _database.pool_timeout.total_seconds(),
                # A short patience per attempt: the pool's own backoff would otherwise keep on sleeping for minutes
                # after PostgreSQL has come back.
                "reconnect_timeout": 1.0,
                "max_idle": 300.0,
            },
        },
    }


DATABASES = {"default": _platform_database(PLATFORM_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# In Redis where there is one and it answers, else in the database.
CACHES = cache_settings(INSTANTLITE.redis.url)

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Served from the apps' own folders, found once at the start: no build step between a clone and a running server.
WHITENOISE_USE_FINDERS = True
WHITENOISE_ROOT = None
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 3600

_https = _server.app_url.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
# Only admin has sessions. Sent everywhere, the cookie of an operator who follows a link to a receive URL would be
# captured, for the owner of that inbox to read.
SESSION_COOKIE_PATH = "/admin/"
CSRF_TRUSTED_ORIGINS = [_server.app_url]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"  # An admin or status URL can hold a token; it stays with us.
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "instantlite.errors.csrf_failure"

# Enforced on the raw stream in wsgi.py, before Django sees the body; Django's own bound follows it.
DATA_UPLOAD_MAX_MEMORY_SIZE = _server.max_body_bytes

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_THROTTLE_CLASSES": ["ratelimit.throttling.RequestThrottle"],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_PARSER_CLASSES": [
        "instantlite.parsers.JSONParser",
        "instantlite.parsers.FormParser",
        "instantlite.parsers.MultiPartFormParser",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "instantlite.renderers.Negotiation",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "instantlite.errors.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
    "UNICODE_JSON": True,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "instantlite",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SORT_OPERATIONS": False,  # in the order of urls.py: the first call comes first
    "PREPROCESSING_HOOKS": ["instantlite.openapi.without_trailing_slash"],
    "SERVE_PUBLIC": True,
    "SERVERS": [{"url": _server.app_url}],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "/static/favicon.svg",
    "DESCRIPTION": "One HTTP call gives a script or a person something real and short-lived. No account.",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "displayOperationId": False, "tryItOutEnabled": True},
}

LOGGING = logging_config(INSTANTLITE.observability.log_level, INSTANTLITE.observability.log_format)
LOGGING_CONFIG = "logging.config.dictConfig"

UNFOLD = {
    "SITE_TITLE": "instantlite",
    "SITE_HEADER": "instantlite",
    "SITE_SUBHEADER": "Operator console",
    "SITE_SYMBOL": "bolt",
    "SITE_URL": "/",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/favicon.svg"}],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "instantlite.admin.dashboard.dashboard",
}

# How long one idempotency key stands for one resource.
IDEMPOTENCY_WINDOW = timedelta(hours=24)

if len(SECRET_KEY) < 32:
    raise ImproperlyConfigured("SECRET_KEY has fewer than 32 characters")
