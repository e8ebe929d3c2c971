"""How long a person waits for a page of results: `make bench-search`.

    python -m tests.quality.search_speed [PASSAGES...]

An installation of its own, as people run it: the request goes through web, broker, worker, engine and index.
The passages are made-up words with random vectors, the words as frequent as words are (Zipf), with a code in
some; each search has words of its own, so that nothing is answered from a cache. Beside it stands the
index's own share: the same query, called bare.
"""

from __future__ import annotations

import hashlib
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import django
import httpx

from tests.running import RunningHouse

SIZES = (20_000, 100_000)
TIMES = 60
PER_DOCUMENT, WORDS_OF_A_PASSAGE, WORDS = 20, 120, 30_000
MOST_MS = 100
DIMENSION, CANDIDATES = 384, 256
CHOICE = random.Random(7)
ENDINGS = ("pdf", "pdf", "docx", "txt", "xlsx")


def word(rank: int) -> str:
    """The word of a rank, pronounceable, always the same."""
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    out = ""
    while rank or not out:
        rank, at = divmod(rank, len(syllables))
        out += syllables[at]
    return out


VOCABULARY = [word(rank + 70) for rank in range(WORDS)]
WEIGHTS = [1 / (rank + 2) for rank in range(WORDS)]


def text(number: int) -> str:
    said = CHOICE.choices(VOCABULARY, WEIGHTS, k=WORDS_OF_A_PASSAGE)
    if number % 50 == 0:
        said[60] = f"KS-{number}"
    return " ".join(said).capitalize() + "."


def main(sizes: Sequence[int]) -> int:
    with tempfile.TemporaryDirectory(prefix="muniment-search-") as folder:
        house = RunningHouse(Path(folder))
        os.environ.update(house.environment)
        django.setup()
        house.prepare()
        house.start()
        try:
            slowest = max(ms for size in sizes for ms in measured(house, size))
        finally:
            house.stop()
    return 0 if slowest <= MOST_MS else 1


def measured(house: RunningHouse, size: int) -> Iterator[float]:
    """p95 of every kind of search, in milliseconds, printed on the way."""
    from workers.engines.index import QdrantIndex

    index = QdrantIndex(f"unix:{house.run}/index.sock", DIMENSION)
    seconds = time.perf_counter()
    texts = filled(index, size)
    print(f"{size} passages, made in {time.perf_counter() - seconds:.0f} s; load {os.getloadavg()[0]:.1f}")
    client = house.client("staff")
    client.get("/search", params={"q": "warm up"})
    yield from (timed(name, ask, client, texts) for name, ask in KINDS.items())
    bare(index)
    index.close()


def filled(index: Any, size: int) -> list[str]:
    """Fill the first library up to this many passages; some of their texts."""
    from muniment.documents.models import Passage
    from muniment.tenancy.models import Library

    library = Library.objects.first()
    made = Passage.objects.filter(tenant=library.tenant_id, version__document__name__startswith="made-")
    for first in range(made.count(), size, 50 * PER_DOCUMENT):
        last = min(first + 50 * PER_DOCUMENT, size)
        index.upsert(_points(_written(library, range(first, last, PER_DOCUMENT))))
    return list(made.order_by("?").values_list("text", flat=True)[:2000])


def _written(library: Any, numbers: Iterable[int]) -> list[Any]:
    """Published documents, one a number; their passages."""
    from django.db import transaction
    from django.utils import timezone

    from muniment.documents.models import Document, Page, Passage, Version, VersionState

    rows: dict[Any, list[Any]] = {Document: [], Version: [], Page: [], Passage: []}
    tenant = library.tenant_id
    for number in numbers:
        nth = number // PER_DOCUMENT
        name = f"made-{number}.{ENDINGS[nth % len(ENDINGS)]}"
        document = Document(tenant=tenant, library=library, name=name, label=1)
        version = Version(
            tenant=tenant,
            document=document,
            number=1,
            sha256="0" * 64,
            size=1,
            state=VersionState.PUBLISHED,
            published_at=timezone.now() - timedelta(days=nth % 1000),
            page_count=PER_DOCUMENT,
            passage_count=PER_DOCUMENT,
        )
        rows[Document].append(document)
        rows[Version].append(version)
        for ordinal in range(PER_DOCUMENT):
            said, page = text(number + ordinal), ordinal + 1
            place = {"tenant": tenant, "version": version, "start": 2000 * ordinal, "end": 2000 * page - 2}
            sha256 = hashlib.sha256(said.encode()).hexdigest()
            passage = Passage(
                id=uuid4(), ordinal=ordinal, page=page, page_end=page, text=said, sha256=sha256, **place
            )
            rows[Page].append(Page(number=page, label=str(page), **place))
            rows[Passage].append(passage)
    with transaction.atomic():
        for model, made in rows.items():
            model.objects.bulk_create(made)
        for version in rows[Version]:
            Document.objects.filter(pk=version.document_id).update(current=version)
    return rows[Passage]


def _points(passages: Sequence[Any]) -> list[Any]:
    import numpy

    from workers.engines import Point
    from workers.engines.sparse import passage_vector

    vectors = numpy.random.default_rng(int(passages[0].id)).standard_normal((len(passages), DIMENSION))
    vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Point(
            id=passage.id,
            dense=vector.tolist(),
            sparse=passage_vector(passage.text),
            tenant=passage.tenant,
            library=passage.version.document.library_id,
            document=passage.version.document_id,
            version=passage.version_id,
            label=1,
        )
        for passage, vector in zip(passages, vectors, strict=True)
    ]


def _some(texts: list[str], words: int) -> str:
    """Words that stand in one passage, as people choose them: not all rare, not all common."""
    return " ".join(CHOICE.sample(CHOICE.choice(texts).rstrip(".").split(), words))


def _phrase(texts: list[str], words: int) -> str:
    said = CHOICE.choice(texts).rstrip(".").split()
    at = CHOICE.randrange(len(said) - words)
    return '"{}"'.format(" ".join(said[at : at + words]))


def _code(texts: list[str]) -> str:
    with_code = [text for text in texts if "KS-" in text or "ks-" in text]
    said = CHOICE.choice(with_code or texts).split()
    return next((one for one in said if one.lower().startswith("ks-")), "KS-0").upper()


KINDS: dict[str, Callable[[list[str]], dict[str, str]]] = {
    "four words": lambda texts: {"q": _some(texts, 4)},
    "a sentence of fifteen": lambda texts: {"q": _some(texts, 15)},
    "a code": lambda texts: {"q": _code(texts)},
    "a code among words": lambda texts: {"q": f"{_some(texts, 3)} {_code(texts)}"},
    "a phrase": lambda texts: {"q": _phrase(texts, 3)},
    "a phrase of common words": lambda texts: {
        "q": f'"{CHOICE.choice(VOCABULARY[:6])} {CHOICE.choice(VOCABULARY[:6])}"'
    },
    "a file's name": lambda texts: {"q": f"made-{PER_DOCUMENT * CHOICE.randrange(900)}.pdf"},
    "four words, by type": lambda texts: {"q": _some(texts, 4), "kind": "pdf"},
    "four words, most documents": lambda texts: {"q": _some(texts, 4), "since": "2000-01-01"},
    "four words, by label": lambda texts: {"q": _some(texts, 4), "label": "1"},
    "four words, page 3": lambda texts: {"q": _some(texts, 4), "page": "3"},
}


def timed(
    name: str, ask: Callable[[list[str]], dict[str, str]], client: httpx.Client, texts: list[str]
) -> float:
    took = []
    for _time in range(TIMES):
        query = ask(texts)
        begun = time.perf_counter()
        page = client.get("/search", params=query, headers={"HX-Request": "true"})
        took.append(1000 * (time.perf_counter() - begun))
        assert page.status_code == 200 and "did not work" not in page.text, (query, page.text[:500])
    return _said(name, took)


def _said(name: str, took: list[float]) -> float:
    p95 = statistics.quantiles(took, n=20)[-1]
    mark = "" if p95 <= MOST_MS else f"  <- over {MOST_MS}"
    print(f"  {name:<28} p50 {statistics.median(took):6.1f} ms   p95 {p95:6.1f} ms{mark}", flush=True)
    return p95


def bare(index: Any) -> None:
    """The index's own query for four words, without anything around it."""
    import numpy

    from muniment.tenancy.models import Library
    from workers.engines import IndexFilter
    from workers.engines.sparse import query_vector

    library = Library.objects.first()
    where = IndexFilter(library.tenant_id, frozenset({library.id}), 1)
    took = []
    for number in range(TIMES):
        dense = numpy.random.default_rng(number).standard_normal(DIMENSION)
        sparse = query_vector(" ".join(CHOICE.choices(VOCABULARY, WEIGHTS, k=4)))
        begun = time.perf_counter()
        index.search(where, (dense / numpy.linalg.norm(dense)).tolist(), sparse, CANDIDATES)
        took.append(1000 * (time.perf_counter() - begun))
    _said("the index alone", took)


if __name__ == "__main__":
    sys.exit(main([int(size) for size in sys.argv[1:]] or SIZES))
