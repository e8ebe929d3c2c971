"""An index that comes back empty is filled again from the database, without anybody having to ask."""

from __future__ import annotations

import shutil
import time

import pytest

from tests.faults.look import Site, eventually, long_text


@pytest.fixture
def documents(site: Site) -> list[str]:
    uploaded = [site.upload(f"kept {n}.txt", long_text(10 + n, 5)) for n in range(3)]
    for document in uploaded:
        site.published(document)
    return uploaded


def lose_the_index(site: Site) -> None:
    """As when a disk was replaced: the folder is gone, and the part starts with none."""
    index = site.house.data / "index"
    index.rename(index.with_name("index.lost"))
    site.house.kill("index")
    site.wait_for("index")
    shutil.rmtree(index.with_name("index.lost"))


def whole(site: Site, document: str) -> bool:
    version = site.version(document)
    sql = "SELECT id FROM documents_passage WHERE version_id = ?"
    return site.points(version) == sorted(row["id"] for row in site.rows(sql, version["id"]))


@pytest.mark.deep
@pytest.mark.timeout(600)
def test_a_lost_index_is_made_again(site: Site, documents: list[str]) -> None:
    lose_the_index(site)
    # Who works on as if nothing had happened: clients that are connected since before.
    fresh = site.upload("after the loss.txt", b"The new index has this from the start.")
    site.published(fresh)
    site.assert_published_once(fresh)
    begun = time.monotonic()
    everything = site.rows("SELECT document_id FROM documents_version WHERE state = 'published'")
    eventually(lambda: all(whole(site, row["document_id"]) for row in everything), 240, pause=1)
    for document in documents:
        site.assert_published_once(document)
    assert time.monotonic() - begun < 240
