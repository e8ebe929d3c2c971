"""On PostgreSQL, what comes through a door in a test works as the role that would serve it on a site."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

serving: ContextVar[str] = ContextVar("tests.roles.serving", default="muniment_web")


@contextmanager
def as_sequencer() -> Iterator[None]:
    before = serving.set("muniment_sequencer")
    try:
        yield
    finally:
        serving.reset(before)
