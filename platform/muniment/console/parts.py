"""A part of the installation as the administrator's pages list it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """`state` is up, warning, down or unknown, `advice` what to do about it."""

    name: str
    detail: str
    state: str
    state_text: str
    amount: str
    advice: str = ""
