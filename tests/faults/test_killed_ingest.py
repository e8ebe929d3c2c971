"""A worker killed anywhere in an ingest: the document is published once, nothing is lost or doubled."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.faults.look import Site, eventually, long_text, slow_to_read

PASSAGES = 160  # three batches
ONE_BATCH = 60


def kill_group(site: Site) -> None:
    site.house.kill("ingest")


def kill_child(site: Site) -> None:
    site.kill_child()


def cases(*pairs: tuple[str, Callable[[Site], None]]) -> list[object]:
    """Each stage with each victim; those named run always, the others in `make deep`."""
    everything = [(stage, victim) for stage in STAGES for victim in (kill_group, kill_child)]
    return [
        pytest.param(
            STAGES[stage],
            victim,
            id=f"{stage}-{victim.__name__}",
            marks=[] if (stage, victim) in pairs else pytest.mark.deep,
        )
        for stage, victim in everything
    ]


def in_the_middle_of_reading(site: Site, kill: Callable[[Site], None]) -> str:
    document = site.upload(f"reading-{kill.__name__}.csv", slow_to_read())
    eventually(site.is_in(document, "reading"))
    time.sleep(0.5)
    kill(site)
    return document


def in_the_middle_of_embedding(site: Site, kill: Callable[[Site], None]) -> str:
    document = site.upload(f"embedding-{kill.__name__}.txt", long_text(1, PASSAGES))
    eventually(site.has_points(document))
    assert not site.has_points(document, share=1)()
    kill(site)
    return document


def between_upsert_and_publish(site: Site, kill: Callable[[Site], None]) -> str:
    """Nobody else may write for a while, so that the worker has to stop just before it publishes.

    It has other things to write before (its passages, its lease), and would wait for those on a slow machine:
    so it gets a moment now and then. A document published in such a moment is let go, another comes.
    """
    for attempt in range(10):
        document = site.upload(f"publishing-{kill.__name__}-{attempt}.txt", long_text(attempt, ONE_BATCH))
        eventually(site.is_in(document, "embedding", "published"), pause=0.01)
        while site.version(document)["state"] == "embedding":
            with site.database() as connection:
                connection.execute("BEGIN IMMEDIATE")
                if stands_before_publishing(site, document, 3):
                    kill(site)
                    time.sleep(0.2)
                    return document
            time.sleep(0.15)
    raise AssertionError("ten documents were published before anybody could look")


def stands_before_publishing(site: Site, document: str, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if site.has_points(document, share=1)():
            return site.version(document)["state"] == "embedding"
        time.sleep(0.05)
    return False


STAGES: dict[str, Callable[[Site, Callable[[Site], None]], str]] = {
    "reading": in_the_middle_of_reading,
    "embedding": in_the_middle_of_embedding,
    "publishing": between_upsert_and_publish,
}


@pytest.mark.parametrize(
    ("stage", "kill"),
    cases(("reading", kill_child), ("embedding", kill_group), ("publishing", kill_child)),
)
def test_a_kill_at_any_stage_loses_and_doubles_nothing(
    site: Site, stage: Callable[[Site, Callable[[Site], None]], str], kill: Callable[[Site], None]
) -> None:
    document = stage(site, kill)
    assert site.version(document)["state"] != "published"
    site.published(document)
    site.assert_published_once(document)


@pytest.mark.parametrize(
    ("seed", "kills"), [(7, 5), *(pytest.param(seed, 20, marks=pytest.mark.deep) for seed in range(10))]
)
@pytest.mark.timeout(1800)
def test_kills_at_random_moments_lose_and_double_nothing(site: Site, seed: int, kills: int) -> None:
    """Each document dies less often than its worker gives up."""
    rng = random.Random(seed)
    for batch in range(0, kills, 5):
        documents = [
            site.upload(
                f"random-{seed}-{batch}-{n}.txt", long_text(rng.randrange(10**6), rng.choice([3, 40, 70]))
            )
            for n in range(5)
        ]
        for _kill in range(min(5, kills - batch)):
            site.wait_for("ingest")
            time.sleep(rng.uniform(0, 4))
            rng.choice([kill_group, kill_child, kill_child])(site)
        for document in documents:
            site.published(document, 300)
            site.assert_published_once(document)
