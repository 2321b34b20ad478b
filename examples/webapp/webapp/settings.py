"""What the site and its workers are told: by the environment, nothing else. Workers read it without Django.

DATABASE_URL        where the tables are; by default SQLite in WEBAPP_DATA
REDIS_URL           Celery's messages and the runs' checkpoints
WEBAPP_DATA         the folder of uploads and exports, shared by the site and its workers
WEBAPP_HOSTS        the names that the site answers to, with commas
WEBAPP_ORIGINS      its addresses behind a proxy that speaks TLS: https://loads.example.org; cookies then need TLS
WEBAPP_SECRET_KEY   signs sessions; by default made once, in WEBAPP_DATA
WEBAPP_MAX_UPLOAD   bytes that a request may have (10 GiB)
WEBAPP_EVERY        seconds between commits (1)
WEBAPP_SLICE        seconds that a worker gives to a run before the next one's turn (30)
"""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url


def _secret() -> str:
    """The key that is kept in the data folder; made, complete from the first moment, if there is none."""
    path, draft = DATA / "secret-key", DATA / f".secret-key-{secrets.token_hex(8)}"
    if not path.exists():
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50))
        with contextlib.suppress(FileExistsError):  # another process was faster
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text()


DATA = Path(os.environ.get("WEBAPP_DATA", "webapp-data")).resolve()
UPLOADS, EXPORTS = DATA / "uploads", DATA / "exports"
for folder in (DATA, UPLOADS, EXPORTS):
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

DATABASE_URL = os.environ.get("DATABASE_URL") or f"sqlite:///{DATA / 'tables.db'}"
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
STORE = f"{REDIS_URL}{'&' if '?' in REDIS_URL else '?'}prefix=webapp:"
MAX_UPLOAD = int(os.environ.get("WEBAPP_MAX_UPLOAD") or 10 * 1024**3)
EVERY = float(os.environ.get("WEBAPP_EVERY", "1"))
SLICE = float(os.environ.get("WEBAPP_SLICE", "30"))
FORMATS = ("csv", "tsv")

# ------------------------------------------------------------------------------------------- Django

SECRET_KEY = os.environ.get("WEBAPP_SECRET_KEY") or _secret()
ALLOWED_HOSTS = os.environ.get("WEBAPP_HOSTS", "localhost,127.0.0.1").split(",")
CSRF_TRUSTED_ORIGINS = [origin for origin in os.environ.get("WEBAPP_ORIGINS", "").split(",") if origin]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = bool(CSRF_TRUSTED_ORIGINS)

# Users, sessions, and whose run it is. In PostgreSQL in a schema of its own: no upload or export can name these tables.
SCHEMA = "webapp"
_url = make_url(DATABASE_URL)
if _url.get_backend_name() == "postgresql":
    DATABASES: dict[str, dict[str, Any]] = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _url.database,
            "USER": _url.username or "",
            "PASSWORD": _url.password or "",
            "HOST": _url.host or "",
            "PORT": _url.port or "",
            "OPTIONS": {**_url.query, "options": f"-c search_path={SCHEMA}"},
        }
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA / "site.db",
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
    }

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "webapp",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "webapp.access.Headers",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "webapp.access.Access",
    "webapp.access.Csrf",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
ROOT_URLCONF = "webapp.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

# What fails unforeseen (a 500) is told on stderr, with its traceback.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"django": {"handlers": ["stderr"], "level": "ERROR", "propagate": False}},
}

LOGIN_URL, LOGIN_REDIRECT_URL, LOGOUT_REDIRECT_URL = "login", "page", "login"
CSRF_FAILURE_VIEW = "webapp.access.no_csrf"
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = True  # two small files: nothing to collect beforehand

# Every upload goes straight to disk, under a name that the server makes, in the folder where it is to stay.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
FILE_UPLOAD_TEMP_DIR = UPLOADS
