"""Checks of the machine and of what is installed on it."""

from __future__ import annotations

import re
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from importlib import metadata
from pathlib import Path

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.translation import gettext as _

from muniment import switches
from muniment.audit.models import AuditEvent
from muniment.tenancy.queries import each_tenant
from workers import preflight
from workers.upkeep.finding import Finding, bad, ok, warn

OLDEST_PYTHON = (3, 11)
_PINNED = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^;\s]+)")
# Clocks of two machines differ a little; more than this makes events stand in the wrong order.
CLOCK_SECONDS = 60


def python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        yield bad("python", _("This is Python %(version)s: install 3.11 or newer.") % {"version": version})
    else:
        yield ok("python", _("Python %(version)s.") % {"version": version})


def libraries() -> Iterator[Finding]:
    """What is installed against what this version was made and tested with."""
    wanted = _wanted()
    there = {name: _installed(name) for name in wanted}
    missing = sorted(name for name, version in there.items() if version is None)
    others = sorted(name for name, version in there.items() if version not in (None, wanted[name]))
    advice = _("Run `make up`, which installs what this version needs.")
    if missing:
        yield bad("libraries", _("Missing: %(names)s.") % {"names": ", ".join(missing)} + " " + advice)
    elif others:
        yield warn("libraries", _("Other versions: %(names)s.") % {"names": ", ".join(others)} + " " + advice)
    else:
        yield ok("libraries", _("All %(n)s libraries have their versions.") % {"n": len(wanted)})


def _wanted() -> dict[str, str]:
    """Version by name, of the dependencies and, where the parts run on this machine, of their libraries."""
    with (Path(settings.BASE_DIR) / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    lines = list(project["dependencies"])
    if any(url.startswith("unix:") for url in (settings.INDEX_URL, settings.ENGINE_URL, settings.BROKER_URL)):
        lines += project["optional-dependencies"]["embedded"]
    found = (_PINNED.match(line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def _installed(name: str) -> str | None:
    try:
        # torch adds the kind of its build, as in 2.13.0+cpu.
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


def offline() -> Iterator[Finding]:
    if changed := switches.changed():
        yield bad(
            "offline",
            _("Switches that keep libraries from calling out were changed: %(names)s. Do not set them.")
            % {"names": ", ".join(changed)},
        )
    else:
        yield ok("offline", _("The libraries are told to call nobody."))


def data_folder() -> Iterator[Finding]:
    folder = Path(settings.DATA_DIR)
    if error := preflight.cannot_write(folder):
        yield bad(
            "data folder",
            _("Nothing can be written there (%(why)s). Give the folder to the account that runs Muniment.")
            % {"why": error.strerror},
        )
        return
    key = folder / "secret.key"
    if key.exists() and key.stat().st_mode & 0o077:
        yield warn("data folder", _("Others can read the file secret.key: give it the mode 600."))
    else:
        yield ok("data folder", _("It can be written, and its key is readable by its owner alone."))


def secrets() -> Iterator[Finding]:
    """Of a site; on one machine there is only the key in the data folder."""
    if fault := preflight.secrets_fault():
        yield warn("secrets", fault)


def disk() -> Iterator[Finding]:
    free = shutil.disk_usage(settings.DATA_DIR).free
    sizes = {"free": filesizeformat(free), "need": filesizeformat(settings.FREE_DISK_BYTES)}
    if free < settings.FREE_DISK_BYTES:
        yield bad(
            "disk",
            _("Only %(free)s are free: uploads are refused until %(need)s are. Make room.") % sizes,
        )
    elif free < 4 * settings.FREE_DISK_BYTES:
        yield warn("disk", _("%(free)s are free. Make room: below %(need)s uploads are refused.") % sizes)
    else:
        yield ok("disk", _("%(free)s are free.") % sizes)


def clock() -> Iterator[Finding]:
    """The clock against what must lie in the past: this code, and the newest event of the trail."""
    advice = _("Set the machine's clock, and keep it right with a time server.")
    if time.time() < Path(__file__).stat().st_mtime - CLOCK_SECONDS:
        yield bad("clock", _("The clock is behind the day this version was installed.") + " " + advice)
        return
    ahead = preflight.clock_ahead()
    if fault := preflight.clock_fault(ahead):
        too_far = preflight.clock_fault(ahead, refuses=True)
        yield bad("clock", fault) if too_far else warn("clock", fault)
        return
    soon = timezone.now() + timedelta(seconds=CLOCK_SECONDS)
    if any(AuditEvent.objects.filter(occurred_at__gt=soon).exists() for _tenant in each_tenant()):
        yield bad("clock", _("The trail has events of a later time than now.") + " " + advice)
    else:
        yield ok("clock", _("It agrees with the trail."))
