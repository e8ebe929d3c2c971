"""The report that nothing leaves: what is switched, walled, allowed, blocked, installed and tested here."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from muniment import __version__, switches
from muniment.audit import actions, egress
from muniment.audit.keys import KeyUnusable, signing_key
from muniment.audit.queries import calls_blocked
from muniment.audit.services import Thing, record
from muniment.pages.errors import Forbidden
from muniment.registry.queries import last_report
from muniment.registry.services import store_report
from muniment.scope import Role, Scope
from workers.engines import catalogue
from workers.upkeep import bom
from workers.upkeep.errors import NoTestResult

FORMAT = "muniment-sovereignty/1"
REPORT, EGRESS_TEST = "sovereignty", "egress-test"
# What the test that nothing leaves must tell.
TESTED = {
    "at": str,
    "version": str,
    "seconds": float,
    "packets": int,
    "names": int,
    "caught": int,
    "tried": int,
}


@dataclass(frozen=True)
class Written:
    """`signed_by` is the public key, or "" with the reason in `unsigned`."""

    report: dict[str, Any]
    sha256: str
    signed_by: str
    unsigned: str = ""


def build() -> tuple[dict[str, Any], bytes]:
    """The report as it stands now, and the bill of materials whose digest it names."""
    models = [(entry, catalogue.state_of(entry)) for entry in catalogue.models()]
    here = [entry for entry, state in models if state == "there"]
    bill, off = bom.bill(here), switches.changed()
    report = {
        "format": FORMAT,
        "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": __version__,
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}",
        "switches": {name: name not in off for name in switches.SWITCHES},
        "peers": egress.peers(),
        "walls": try_walls(),
        "blocked": calls_blocked(),
        "software": {
            "format": bom.FORMAT,
            "components": len(json.loads(bill)["components"]),
            "sha256": hashlib.sha256(bill).hexdigest(),
        },
        "models": [
            {
                "name": entry.name,
                "kind": str(entry.kind),
                "licence": entry.licence,
                "bytes": entry.bytes,
                "sha256": entry.sha256,
                "files": {file.path: file.sha256 for file in entry.files},
            }
            for entry in here
        ],
        "damaged_models": [entry.name for entry, state in models if state == "damaged"],
        "egress_test": last_report(EGRESS_TEST),
    }
    return report, bill


def refresh() -> None:
    """For the console's page, which reads the row."""
    store_report(REPORT, build()[0])


def refresh_first() -> None:
    """The first report soon after the first start; later ones come by the clock."""
    if last_report(REPORT) is None:
        refresh()


def try_walls() -> dict[str, Any]:
    """A child process walls itself in as a reader does, tries to get out, and tells."""
    root = Path(settings.BASE_DIR)
    done = subprocess.run(
        [sys.executable, "-m", "workers.walls"],
        cwd=root,
        env={"PATH": os.defpath, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        return {
            "seccomp": False,
            "landlock": 0,
            "namespace": False,
            "socket_refused": False,
            "file_refused": False,
        }


def write(scope: Scope, target: Path) -> Written:
    """Write the report to `target`, signed where the key can be read, and its bill to `target`.cdx.json.

    Raises Forbidden; the event is written with the files or neither is kept.
    """
    if Role.SITE_ADMIN not in scope.roles:
        raise Forbidden
    report, bill = build()
    text = json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    signed_by = unsigned = ""
    try:
        key = signing_key(Path(settings.DATA_DIR))
        text, signed_by = key.sign(text), str(key.public)
    except KeyUnusable as problem:
        unsigned = str(problem)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    with transaction.atomic():
        record(
            scope,
            actions.SOVEREIGNTY_REPORTED,
            Thing("report", sha256),
            details={
                "sha256": sha256,
                "bom_sha256": report["software"]["sha256"],
                "blocked": report["blocked"]["attempts"],
                "signed": bool(signed_by),
            },
        )
        store_report(REPORT, report)
        target.write_text(text)
        target.with_name(f"{target.name}.cdx.json").write_bytes(bill)
    return Written(report, sha256, signed_by, unsigned)


def keep_test(scope: Scope, told: object) -> dict[str, Any]:
    """Keep what the test that nothing leaves found on this machine. Raises Forbidden and NoTestResult."""
    if Role.SITE_ADMIN not in scope.roles:
        raise Forbidden
    if not isinstance(told, dict) or told.keys() != TESTED.keys():
        raise NoTestResult(_("This is not what the test writes."))
    if any(not isinstance(told[name], kind) for name, kind in TESTED.items()):
        raise NoTestResult(_("This is not what the test writes."))
    numbers = {name: told[name] for name in ("packets", "names", "caught", "tried")}
    with transaction.atomic():
        record(scope, actions.EGRESS_TESTED, details=numbers)
        store_report(EGRESS_TEST, told)
    return told
