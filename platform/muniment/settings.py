"""Settings of the web application. Each has a default for one machine; a site sets the environment."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from muniment import database, environment, switches
from muniment.environment import whole_number

# Libraries read these when they are imported, so they are set before anything else is.
try:
    switches.switch_on()
except switches.SwitchedOff as off:
    raise ImproperlyConfigured(str(off)) from off

BASE_DIR = Path(__file__).resolve().parents[2]

# Places. DATA_DIR holds everything that must be backed up; models can be fetched again.
DATA_DIR = Path(os.environ.get("MUNIMENT_DATA", BASE_DIR / "var")).resolve()
MODELS_DIR = Path(os.environ.get("MUNIMENT_MODELS", BASE_DIR / "var" / "models")).resolve()
BLOB_DIR = DATA_DIR / "blobs"
PAGES_DIR = DATA_DIR / "pages"
UPLOAD_DIR = DATA_DIR / "uploads"
INDEX_DIR = DATA_DIR / "index"
# The log's key and what it signed last: the sequencer's alone, on a site in a volume of its own.
SEAL_DIR = Path(os.environ.get("MUNIMENT_SEAL_DIR", DATA_DIR / "seal")).resolve()
# A unix socket's path must stay under 108 bytes, so sockets do not lie in the data folder.
RUN_DIR = Path(
    os.environ.get(
        "MUNIMENT_RUN",
        Path(tempfile.gettempdir()) / f"muniment-{hashlib.sha256(str(DATA_DIR).encode()).hexdigest()[:10]}",
    )
)

# Where the parts are: `unix:/path.sock`, `http://host:port` or `https://...`. Secrets lie in files that
# variables with the ending _FILE name.
HOST = os.environ.get("MUNIMENT_HOST", "127.0.0.1")
PORT = whole_number("MUNIMENT_PORT", 8000)
INDEX_URL = environment.address("MUNIMENT_INDEX_URL", f"unix:{RUN_DIR}/index.sock", "http", "https")
INDEX_KEY = environment.secret_for("MUNIMENT_INDEX_KEY", INDEX_URL)
BROKER_URL = environment.address("MUNIMENT_BROKER_URL", f"unix:{RUN_DIR}/valkey.sock", "redis", "rediss")
BROKER_USER = os.environ.get("MUNIMENT_BROKER_USER", "")
BROKER_PASSWORD = environment.secret_for("MUNIMENT_BROKER_PASSWORD", BROKER_URL)
# The engine of a site serves other machines; on one machine it listens on a socket.
ENGINE_LISTEN = environment.listening("MUNIMENT_ENGINE_LISTEN")
ENGINE_URL = os.environ.get(
    "MUNIMENT_ENGINE_URL",
    f"http://{environment.near(ENGINE_LISTEN[0])}:{ENGINE_LISTEN[1]}"
    if ENGINE_LISTEN
    else f"unix:{RUN_DIR}/engine.sock",
)

# Folders of this machine below which an administrator may map one to a library; none means nobody can.
WATCH_ROOTS = environment.roots("MUNIMENT_WATCH_ROOTS", DATA_DIR)

# The server on site that has the language model; "" means that our own engine has it.
MODEL_URL = environment.address("MUNIMENT_MODEL_URL", "", "http", "https")
MODEL_KEY = environment.key("MUNIMENT_MODEL_KEY")
# Tokens of a prompt with its answer, where that server does not tell, or where less is wanted.
MODEL_CONTEXT = whole_number("MUNIMENT_MODEL_CONTEXT", 0)
# It may say nothing for so long while it reads a long prompt.
MODEL_SILENCE_SECONDS = whole_number("MUNIMENT_MODEL_SILENCE_SECONDS", 600)
# Models, by their names in the catalogue; of another server's by its own name, "" is the first that it lists.
LANGUAGE_MODEL = os.environ.get("MUNIMENT_MODEL") or (
    "" if MODEL_URL else "qwen2.5-coder-1.5b-instruct-q4_k_m"
)
EMBEDDER = os.environ.get("MUNIMENT_EMBEDDER", "all-minilm-l6-v2")
# A cross-encoder that sorts the best passages again; none unless an administrator adds one. It is left out
# where this machine would take longer for it than so many milliseconds a question.
RERANKER = os.environ.get("MUNIMENT_RERANKER", "")
RERANK_MS = whole_number("MUNIMENT_RERANK_MS", 500)
CONTEXT_TOKENS = whole_number("MUNIMENT_CONTEXT", 8192)

# Limits. A person who meets one is told which it is.
UPLOAD_LIMIT_BYTES = whole_number("MUNIMENT_UPLOAD_MB", 200) * 1_000_000
UPLOAD_CHUNK_BYTES = 4 * 1024 * 1024
UPLOAD_KEEP_HOURS = 24
QUESTION_LIMIT_CHARS = whole_number("MUNIMENT_QUESTION_CHARS", 8000)
# Events that an officer takes out at once; more are a bundle, `manage.py audit export`.
TRAIL_EXPORT_EVENTS = whole_number("MUNIMENT_TRAIL_EXPORT_EVENTS", 100_000)
FREE_DISK_BYTES = whole_number("MUNIMENT_FREE_DISK_MB", 500) * 1024 * 1024
FIRST_WORD_SECONDS = whole_number("MUNIMENT_FIRST_WORD_SECONDS", 15)
ANSWER_TOKENS = whole_number("MUNIMENT_ANSWER_TOKENS", 400)
PASSAGES_SHOWN = 8
ANSWERS_AT_ONCE = 24
# A worker that died with its machine is noticed after this, and the next sweep rings for what it did: within
# 30 seconds together.
LEASE_SECONDS = 20
SWEEP_SECONDS = 5
SIGN_IN_TRIES = 8
SIGN_IN_WAIT_SECONDS = 300
TRUSTED_PROXY = os.environ.get("MUNIMENT_TRUSTED_PROXY", "")


def _secret_key() -> str:
    """From the environment, or made once and kept in the data folder, readable by its owner alone."""
    if given := environment.secret("MUNIMENT_SECRET_KEY"):
        return given
    try:
        return _kept_secret_key(DATA_DIR / "secret.key")
    except OSError as error:
        raise ImproperlyConfigured(
            f"The key in the folder that MUNIMENT_DATA names cannot be kept ({error.strerror}): give the "
            "folder or the volume to the account that runs Muniment."
        ) from error


def _kept_secret_key(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        fresh = os.urandom(48).hex()
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text().strip()
        with os.fdopen(descriptor, "w") as file:
            file.write(fresh)
            file.flush()
            os.fsync(file.fileno())
        return fresh


SECRET_KEY = _secret_key()
DEBUG = False
ALLOWED_HOSTS = [
    *environment.words("MUNIMENT_HOSTS"),
    "localhost",
    "127.0.0.1",
    "[::1]",
    *([HOST] if HOST not in {"0.0.0.0", "::"} else []),  # noqa: S104 - compared, not bound
]
CSRF_TRUSTED_ORIGINS = environment.words("MUNIMENT_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "muniment.pages",
    "muniment.audit",
    "muniment.tenancy",
    "muniment.accounts",
    "muniment.jobs",
    "muniment.documents",
    "muniment.search",
    "muniment.folders",
    "muniment.registry",
    "muniment.conversations",
    "muniment.evaluation",
    "muniment.desk",
    "muniment.console",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    # Before what answers by itself, so that files have the policy too.
    "csp.middleware.CSPMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "muniment.pages.middleware.ConnectionGivenBack",
    "muniment.pages.middleware.RequestId",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "muniment.accounts.middleware.ScopeOfPerson",
    "muniment.accounts.problems.Problems",
]

ROOT_URLCONF = "muniment.urls"
ASGI_APPLICATION = "muniment.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
                "muniment.conversations.context.shell",
            ],
        },
    },
]

DATABASES: dict[str, dict[str, Any]] = {"default": database.default(DATA_DIR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
FILE_UPLOAD_MAX_MEMORY_SIZE = UPLOAD_CHUNK_BYTES
DATA_UPLOAD_MAX_MEMORY_SIZE = UPLOAD_CHUNK_BYTES + 64 * 1024

AUTH_USER_MODEL = "accounts.Person"
AUTHENTICATION_BACKENDS = ["muniment.accounts.backends.Local"]
PASSWORD_HASHERS = ["muniment.accounts.hashers.Argon2"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "sign-in"
SESSION_COOKIE_NAME = "muniment"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "muniment-csrf"
CSRF_FAILURE_VIEW = "muniment.accounts.problems.form_too_old"
# On one machine the page is plain HTTP on the loopback; behind a proxy cookies travel over TLS only.
SECURE = os.environ.get("MUNIMENT_TLS", "") == "1"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
if SECURE:
    if not environment.words("MUNIMENT_HOSTS"):
        raise ImproperlyConfigured(
            "MUNIMENT_TLS=1 is for a site behind a proxy: set MUNIMENT_HOSTS to the name that people type."
        )
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
# Not `no-referrer`: browsers then send `Origin: null` with forms, which the CSRF check must refuse.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
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
        "object-src": ["'none'"],
    }
}

LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English")]
USE_I18N = True
USE_TZ = True
TIME_ZONE = os.environ.get("MUNIMENT_TIME_ZONE", "UTC")
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
SERVESTATIC_USE_FINDERS = True

# Nobody is written to: Django would tell its administrators of errors by mail, with the request in it.
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": os.environ.get("MUNIMENT_LOG", "INFO")},
    # httpx logs every request's address, which is noise here.
    "loggers": {"httpx": {"level": "WARNING"}, "httpcore": {"level": "WARNING"}},
}
