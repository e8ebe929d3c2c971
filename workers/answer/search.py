"""Search without an answer: passages as for a question, what holds it to the letter before the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any
from uuid import UUID

from muniment.documents.models import Passage
from muniment.documents.queries import Published, places_of, published_as, published_passages, texts_of
from muniment.scope import Scope
from muniment.search.asked import DOCUMENTS, OF_EACH, OF_ONE, Asked, Narrowing
from muniment.search.queries import documents_named, documents_within, passages_with
from workers.answer import fuse, repeats
from workers.answer.exact import Exact, Span, folded
from workers.answer.retrieve import worth_showing
from workers.answer.words import words_of
from workers.engines import Hit, IndexFilter, PassageIndex, SparseVector
from workers.engines.index import filter_for
from workers.engines.sparse import tokens

# How many are asked for by each side: twice, three times what pages show, and quicker than for an answer. The
# second where much is not published any more, the last of those that may hold a phrase.
CANDIDATES, MOST_CANDIDATES, HOLDERS = 128, 1000, 400
# With fewer than this left among the best, more are asked for.
FEW = 50
# Documents looked into because of their name.
MOST_NAMED = 20
# Of what is known to share words with the question, but not how many.
LEAST = 1e-9
# Documents named in one request to the index; more than MANY are first looked for among the best of all.
MANY, MOST_DOCUMENTS = 300, 5000
# Among so many of the best, texts that say the same are shown once.
FOLDED = 100
# A question whose words weigh less, one with the other, stand in more than about half of the passages.
COMMON = 0.7


@dataclass(frozen=True)
class Shown:
    """`alike` are passages that say the same, in the order in which they would stand."""

    passage: Passage
    best: Span
    marks: list[Span]
    alike: list[Passage]


@dataclass(frozen=True)
class Results:
    """A page of what was found, document by document; what says the same as a better one is not counted.

    `more`: passages of a document that are not shown; `met`: some of the words are in the documents;
    `common`: they are in most of them.
    """

    shown: list[Shown]
    more: dict[UUID, int]
    passages: int
    documents: int
    pages: int
    met: bool
    common: bool


def search(
    scope: Scope,
    index: PassageIndex,
    asked: Asked,
    dense: Sequence[float],
    narrowing: Narrowing,
    page: int = 1,
) -> Results:
    """One page of results, from 1 to the last there is; `dense` is the meaning of what is asked.

    Raises `IndexUnavailable`.
    """
    look = _Look(scope, index, narrowing, dense)
    exact, words = Exact(asked), look.words(asked.text)
    for limit in (CANDIDATES, MOST_CANDIDATES):
        usual = look(words, limit)
        hits, documents = _published(scope, _with_exact(look, exact, asked, words, usual))
        if len(hits) >= FEW or len(usual) < limit:
            break  # else much of what the index knows is not published any more
    ranked, held = _ranked(look, exact, asked, hits, fuse.trust(usual), documents)
    alike = _alike(look, asked, ranked)
    ranked = [hit for hit in ranked if hit.id in alike]
    groups = _by_document(ranked)
    pages = _pages(groups, narrowing)
    leaf = pages[min(page, len(pages)) - 1] if pages else []
    here = [hit.id for group in leaf for hit in group]
    passages = published_passages(scope, [*here, *(id for hit in here for id in alike[hit])])
    shown = [
        (passages[id], [passages[other] for other in alike[id] if other in passages])
        for id in here
        if id in passages
    ]
    most = max((hit.words for hit in usual), default=0.0)
    return Results(
        shown=[_shown(exact, passage, others) for passage, others in shown],
        more={} if narrowing.document else _more(groups, leaf),
        passages=len(ranked),
        documents=len(groups),
        pages=len(pages),
        met=bool(held) if asked.codes and not asked.words else most > 0,
        common=0 < most < COMMON * len(set(tokens(asked.text))),
    )


class _Look:
    """The index, asked where this search looks."""

    def __init__(self, scope: Scope, index: PassageIndex, narrowing: Narrowing, dense: Sequence[float]):
        self.scope, self.narrowing = scope, narrowing
        self._index, self._dense = index, dense
        self._documents = documents_within(scope, narrowing)
        self._texts: dict[UUID, str] = {}

    def __call__(self, words: SparseVector, limit: int) -> list[Hit]:
        if self._documents is not None and len(self._documents) > MANY:
            wide = self._index.search(self._filter(None), self._dense, words, 2 * limit)
            if self._are_enough(wide, 2 * limit):
                return [hit for hit in wide if hit.document in self._documents]
        found = (self._index.search(where, self._dense, words, limit) for where in self._everywhere())
        return list(chain.from_iterable(found))

    def _are_enough(self, wide: list[Hit], limit: int) -> bool:
        """Whether enough of the best of all, by meaning and by words, are where this search looks."""
        sides = (
            sorted(wide, key=lambda hit: -hit.cosine)[:limit],
            [hit for hit in wide if hit.words],
        )
        return all(
            len(side) < limit or sum(hit.document in (self._documents or ()) for hit in side) >= FEW
            for side in sides
        )

    def words(self, text: str) -> SparseVector:
        return words_of(self.scope, text, self.narrowing.libraries or None)

    def by_words(self, words: SparseVector, limit: int) -> list[Hit]:
        if not words.indices:
            return []
        found = (self._index.by_words(where, words, limit) for where in self._everywhere())
        return list(chain.from_iterable(found))

    def among(self, documents: Iterable[UUID], words: SparseVector, limit: int) -> list[Hit]:
        return self._index.search(self._filter(documents), self._dense, words, limit)

    def folded(self, ids: Iterable[UUID]) -> dict[UUID, str]:
        """Texts under their headings as they are compared; each is read once a search."""
        missing = [id for id in ids if id not in self._texts]
        self._texts |= {id: folded(text) for id, text in texts_of(self.scope, missing).items()}
        return self._texts

    def bodies(self, ids: Iterable[UUID]) -> dict[UUID, str]:
        """The same without the heading."""
        wanted = list(ids)
        texts = self.folded(wanted)
        return {id: texts[id].partition("\n")[2] for id in wanted if id in texts}

    def _everywhere(self) -> Iterator[IndexFilter]:
        if self._documents is None:
            yield self._filter(None)
            return
        documents = sorted(self._documents)
        for at in range(0, len(documents), MOST_DOCUMENTS):
            yield self._filter(documents[at : at + MOST_DOCUMENTS])

    def _filter(self, documents: Iterable[UUID] | None) -> IndexFilter:
        return filter_for(self.scope, self.narrowing.libraries or None, documents, self.narrowing.label)


def _with_exact(look: _Look, exact: Exact, asked: Asked, words: SparseVector, usual: list[Hit]) -> list[Hit]:
    """The usual candidates, and those that hold what was asked to the letter or are of a file named so."""
    found = {hit.id: hit for hit in usual}
    # Their weight by these words alone cannot be compared with the others', so that it does not count.
    most = HOLDERS if exact.phrases else CANDIDATES
    holders = look.by_words(exact.vector(look.words(exact.phrased)), most)
    if exact.phrases and len(holders) >= most and not _are_all(look, exact, holders):
        holders += _looked_through(look, asked)
    for hit in holders:
        found.setdefault(hit.id, replace(hit, words=LEAST))
    if named := documents_named(look.scope, look.narrowing, asked.names, MOST_NAMED):
        for hit in look.among(named, words, CANDIDATES):
            found.setdefault(hit.id, hit)
    return list(found.values())


def _are_all(look: _Look, exact: Exact, best: list[Hit]) -> bool:
    """Whether those with the words of a phrase, best first, end long after the last that holds it."""
    texts = look.folded(hit.id for hit in best)
    held = [at for at, hit in enumerate(best) if exact.worth("", texts.get(hit.id, "")) is not None]
    return bool(held) and held[-1] < len(best) / 2


def _looked_through(look: _Look, asked: Asked) -> list[Hit]:
    """Holders of a phrase whose words stand everywhere, so that the index cannot tell them from others."""
    longest = max(asked.phrases, key=len)
    return [
        Hit(passage.id, passage.version.document_id, passage.version_id, cosine=0.0, words=LEAST)
        for passage in passages_with(look.scope, look.narrowing, longest, FEW)
    ]


def _published(scope: Scope, hits: Sequence[Hit]) -> tuple[list[Hit], dict[UUID, Published]]:
    """Without what the index still knows of versions that are not published any more."""
    documents = published_as(scope, {hit.document for hit in hits})
    kept = [hit for hit in hits if hit.document in documents]
    return [hit for hit in kept if documents[hit.document].version == hit.version], documents


def _ranked(
    look: _Look,
    exact: Exact,
    asked: Asked,
    hits: list[Hit],
    share: float,
    documents: dict[UUID, Published],
) -> tuple[list[Hit], int]:
    """Best first, and how many of them hold something to the letter; `share` is the meaning's."""
    names = {document: published.names for document, published in documents.items()}
    scores = fuse.scored(
        asked.text, hits, share, CANDIDATES, names, partial(places_of, look.scope, documents.values())
    )
    worth = _worth(look, exact, hits, names)
    kept = [hit for hit in hits if hit.id in worth]
    kept.sort(key=lambda hit: (-worth[hit.id], -scores[hit.id], hit.id))
    held = sum(value > 0 for value in worth.values())
    if held and not asked.words:
        # Who asks for a number alone wants that one, and nothing like it.
        return [hit for hit in kept if worth[hit.id]], held
    return kept, held


def _worth(look: _Look, exact: Exact, hits: Sequence[Hit], names: dict[UUID, str]) -> dict[UUID, int]:
    """How well each passage fits to the letter; those that miss a phrase are left out."""
    if not exact:
        return dict.fromkeys((hit.id for hit in hits), 0)
    # Who shares no word with the question can only be meant by the document's name.
    texts = look.folded(hit.id for hit in hits if hit.words)
    folded_names = {document: folded(name) for document, name in names.items()}
    worth = {hit.id: exact.worth(folded_names[hit.document], texts.get(hit.id, "")) for hit in hits}
    return {id: value for id, value in worth.items() if value is not None}


def _alike(look: _Look, asked: Asked, ranked: Sequence[Hit]) -> dict[UUID, list[UUID]]:
    """Each passage that has a place of its own, best first, with those that say the same.

    All have one where a phrase is asked for, or one document: then who searches wants all that hold it.
    """
    if asked.phrases or look.narrowing.document:
        return {hit.id: [] for hit in ranked}
    best = [hit.id for hit in ranked[:FOLDED]]
    texts = look.bodies(best)
    found: dict[UUID, list[UUID]] = {}
    for id, first in zip(best, repeats.firsts([texts.get(id, "") for id in best]), strict=True):
        found.setdefault(best[first], []).append(id)
    return {id: others for id, (_self, *others) in found.items()} | {hit.id: [] for hit in ranked[FOLDED:]}


def _by_document(ranked: Iterable[Hit]) -> list[list[Hit]]:
    """Each document where its best passage stands."""
    groups: dict[UUID, list[Hit]] = {}
    for hit in ranked:
        groups.setdefault(hit.document, []).append(hit)
    return list(groups.values())


def _pages(groups: list[list[Hit]], narrowing: Narrowing) -> list[list[list[Hit]]]:
    if narrowing.document:
        return [[group[at : at + OF_ONE]] for group in groups for at in range(0, len(group), OF_ONE)]
    cut = [group[:OF_EACH] for group in groups]
    return [cut[at : at + DOCUMENTS] for at in range(0, len(cut), DOCUMENTS)]


def _more(groups: list[list[Hit]], leaf: list[list[Hit]]) -> dict[UUID, int]:
    found = {group[0].document: len(group) for group in groups}
    left = {group[0].document: found[group[0].document] - len(group) for group in leaf}
    return {document: n for document, n in left.items() if n}


def _shown(exact: Exact, passage: Passage, alike: list[Passage]) -> Shown:
    """A passage with the sentence that fits best: what is meant to the letter before the number of words."""
    words = exact.words_in(passage.text)

    def fits(span: Span) -> tuple[int, int]:
        start, end = span
        letters = exact.held(passage.text[start:end]) if exact else 0
        held: set[str] = set()
        held.update(*(tokens for (first, last), tokens in words if start <= first and last <= end))
        return letters, len(held)

    best = max(worth_showing(passage), key=fits, default=(0, 0))
    return Shown(passage, best, exact.marks(passage.text), alike)


def told(results: Results) -> dict[str, Any]:
    """As the reply carries it."""
    return {
        "hits": [
            {
                "passage": str(one.passage.id),
                "best": one.best,
                "marks": one.marks,
                "alike": [str(passage.id) for passage in one.alike],
            }
            for one in results.shown
        ],
        "more": {str(document): n for document, n in results.more.items()},
        "passages": results.passages,
        "documents": results.documents,
        "pages": results.pages,
        "met": results.met,
        "common": results.common,
    }
