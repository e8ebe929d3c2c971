"""A figure of `make bench` beside its yardstick."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    measure: str
    here: str
    yardstick: str
    reach: str
    reached: bool
