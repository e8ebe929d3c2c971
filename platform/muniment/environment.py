"""What the environment says, read into typed values. What cannot be meant is refused with a sentence.

Knows nothing of Django but its error, so that settings can use it while they are made.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured

SHORTEST_SECRET = 24
FEWEST_TRIPLES = 20


def whole_number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdigit():
        raise ImproperlyConfigured(f"{name} must be a whole number, not {text!r}.")
    return int(text)


def words(name: str) -> list[str]:
    """The parts of a list that commas divide."""
    return [word.strip() for word in os.environ.get(name, "").split(",") if word.strip()]


def one_of(name: str, *choices: str) -> str:
    """The first choice where nothing is said."""
    found = os.environ.get(name, choices[0])
    if found not in choices:
        raise ImproperlyConfigured(f"{name} must be {' or '.join(choices)}, not {found!r}.")
    return found


@dataclass(frozen=True)
class Root:
    """A folder below which folders may be mapped, by the tenant of this slug; "" for the only one."""

    tenant: str
    folder: Path


def roots(name: str, data: Path) -> tuple[Root, ...]:
    """From `/folder,/other`, or `tenant=/folder` where several organisations share a site.

    The data folder is kept out: it holds the originals of everybody.
    """
    found = []
    for given in words(name):
        tenant, folder = ("", Path(given)) if given.startswith("/") else _marked(given)
        if not folder.is_absolute() or ".." in folder.parts or folder == Path("/"):
            raise ImproperlyConfigured(
                f"{name} must be like /srv/shares or tenant=/srv/shares, not {given!r}."
            )
        real = folder.resolve()
        if real.is_relative_to(data) or data.is_relative_to(real):
            raise ImproperlyConfigured(
                f"{name} names {folder}, which has to do with the data folder {data}: name another folder."
            )
        found.append(Root(tenant, folder))
    return tuple(found)


def _marked(given: str) -> tuple[str, Path]:
    tenant, _equals, folder = given.partition("=")
    return tenant.strip(), Path(folder.strip())


def secret(name: str) -> str:
    """What the file holds that `<name>_FILE` names, else the variable itself; empty when neither is set.

    A file is better: the environment of a process can be read by more than the process.
    """
    found = key(name)
    if found and (why := _guessable(found)):
        raise ImproperlyConfigured(
            f"The secret {name} {why}, so it could be guessed: remove its file and run `make site-secrets`."
        )
    return found


def key(name: str) -> str:
    """The same for a key that somebody else made, and answers for."""
    given, named = os.environ.get(name, ""), os.environ.get(f"{name}_FILE", "")
    if given and named:
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: keep {name}_FILE.")
    return _contents(f"{name}_FILE", Path(named)) if named else given


def _guessable(found: str) -> str:
    if len(found) < SHORTEST_SECRET:
        return f"is shorter than {SHORTEST_SECRET} characters"
    if re.search("change.?me|password", found, re.IGNORECASE):
        return "is a placeholder"
    # Of 24 characters at random nearly all triples differ; words said again and again have few.
    if len({found[at : at + 3] for at in range(len(found) - 2)}) < FEWEST_TRIPLES:
        return "repeats itself"
    return ""


def _contents(variable: str, path: Path) -> str:
    try:
        found = path.read_text().strip()
    except FileNotFoundError:
        raise ImproperlyConfigured(
            f"{variable} names {path}, which is not there: run `make site-secrets`, or name another file."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ImproperlyConfigured(
            f"{variable} names {path}, which cannot be read ({why}): give the file to the account that "
            "runs Muniment."
        ) from error
    if not found:
        raise ImproperlyConfigured(f"The file {path} is empty: remove it and run `make site-secrets`.")
    return found


def address(name: str, default: str, plain: str, protected: str) -> str:
    """Where a part is: `unix:/path`, or an address of the scheme `plain` or, with TLS, `protected`.

    A plain one is for this machine, and for one label as in `valkey`: the name of a container on an
    internal network. Whatever goes further needs TLS. "" where nothing is said and `default` is "".
    """
    given = os.environ.get(name, default)
    if given == default == "" or given.startswith("unix:"):
        return given
    parts = _split(name, given)
    if parts.scheme not in {plain, protected} or not parts.hostname:
        raise ImproperlyConfigured(
            f"{name} must be like unix:/path, {plain}://host:port or {protected}://host:port."
        )
    if parts.username or parts.password:
        raise ImproperlyConfigured(
            f"{name} must not hold a password, which others could read: put it into a file."
        )
    if parts.scheme == plain and not (_is_near(given) or _is_one_label(parts.hostname)):
        raise ImproperlyConfigured(
            f"{name} would send documents over the network unprotected: use {protected}:// and a server "
            "with TLS."
        )
    return given


def secret_for(name: str, url: str) -> str:
    """As `secret`; but a part that is reached over a network must not be open to everybody there."""
    found = secret(name)
    if not found and not _is_near(url):
        raise ImproperlyConfigured(
            f"{urlsplit(url).hostname} is reached over a network, where everybody could use it: run "
            f"`make site-secrets` and name the file with {name}_FILE."
        )
    return found


def listening(name: str) -> tuple[str, int] | None:
    """Host and port to listen on, from `host:port`; None when it is not set."""
    given = os.environ.get(name, "")
    host, colon, port = given.rpartition(":")
    if not given:
        return None
    if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
        raise ImproperlyConfigured(f"{name} must be like 0.0.0.0:8090, not {given!r}.")
    return host, int(port)


def near(host: str) -> str:
    """Where this machine asks a server that listens on `host`: who listens everywhere is asked at home."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - compared, not opened


def _split(name: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # only now a port that is no number is noticed
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is no address: {error}.") from error
    return parts


def _is_near(url: str) -> bool:
    if url.startswith("unix:"):
        return True
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_one_label(host: str) -> bool:
    return "." not in host and ":" not in host
