"""What shows that nothing leaves, as a page: from this process, the trail and the last report."""

from __future__ import annotations

from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from muniment import switches
from muniment.audit import egress
from muniment.audit.queries import calls_blocked, newest_blocked
from muniment.console.parts import Part
from muniment.pages.templatetags.muniment_pages import ago, thousands

BLOCKED_SHOWN = 20


def shown(report: dict[str, Any] | None) -> dict[str, Any]:
    """What `console/sovereignty.html` shows; `report` is the workers' last one, None before the first."""
    blocked = calls_blocked()
    rows = [_switches(), _peers(), _blocked(blocked)]
    rows += [_walls(report["walls"]), _test(report["egress_test"])] if report else []
    return {
        "sentence": _sentence(rows, report),
        "rows": rows,
        "models": report["models"] if report else [],
        "software": report["software"] if report else None,
        "made": parse_datetime(report["made"]) if report else None,
        "calls": newest_blocked(BLOCKED_SHOWN),
    }


def _sentence(rows: list[Part], report: dict[str, Any] | None) -> str:
    if any(row.state == "down" for row in rows):
        return _("A layer that keeps data here is missing")
    if report is None:
        return _("The first report is being made")
    if any(row.state == "warning" for row in rows):
        return _("Data is kept here, with a remark")
    return _("Data is kept here")


def _switches() -> Part:
    name = _("Switches of libraries")
    if off := switches.changed():
        return Part(
            name, ", ".join(off), "down", _("off"), "", _("Start Muniment again without setting them.")
        )
    return Part(name, _("told to call nobody"), "up", _("on"), thousands(len(switches.SWITCHES)))


def _peers() -> Part:
    peers = sorted(set(egress.peers().values()))
    return Part(
        _("Peers allowed"),
        ", ".join(peers) or _("none but this machine"),
        "up",
        _("set"),
        thousands(len(peers)),
    )


def _blocked(blocked: dict[str, Any]) -> Part:
    name, amount = _("Calls to the outside"), thousands(blocked["attempts"])
    if not blocked["attempts"]:
        return Part(name, _("none was tried"), "up", _("none"), amount)
    advice = _("Something wanted to call out and was kept from it. Find out which library it is, below.")
    return Part(name, ago(parse_datetime(blocked["last"])), "warning", _("blocked"), amount, advice)


def _walls(walls: dict[str, Any]) -> Part:
    name = _("Walls around readers, model and index")
    if not walls["socket_refused"]:
        advice = _("A reader could open a socket here. Use a kernel of Linux 3.17 or newer with seccomp.")
        return Part(name, "", "down", _("open"), "", advice)
    layers = {
        "seccomp": walls["seccomp"],
        "Landlock": walls["landlock"],
        _("own network"): walls["namespace"],
    }
    if missing := [layer for layer, stands in layers.items() if not stands]:
        advice = _("This machine does not give: %(layers)s. The other layers hold.") % {
            "layers": ", ".join(missing)
        }
        return Part(name, "", "warning", _("partly"), "", advice)
    return Part(name, _("tried: no socket, no other file"), "up", _("stand"), ", ".join(layers))


def _test(test: dict[str, Any] | None) -> Part:
    name = _("Test that nothing leaves")
    if test is None:
        return Part(name, _("never run here"), "warning", _("no test"), "")
    when = ago(parse_datetime(test["at"]))
    if test["packets"] or test["names"] or test["caught"] < test["tried"]:
        advice = _("The test saw traffic, or missed what was planted: do not work with real documents yet.")
        return Part(name, when, "down", _("failed"), "", advice)
    amount = ngettext("%(n)s planted call caught", "%(n)s planted calls caught", test["caught"])
    return Part(name, when, "up", _("passed"), amount % {"n": test["caught"]})
