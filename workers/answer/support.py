"""Whether the passages say what an answer says, sentence by sentence, whatever numbers the model cites.

Facts first: the numbers, names, units and negations of a sentence must agree with the passage it rests on.
Then how near the passage is in meaning and words, weighed as `Weights` says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from muniment.conversations.statements import Statement, Verdict
from muniment.documents.sentences import CELLS, sentences
from workers.answer.facts import Facts, disagreement
from workers.answer.pack import Excerpt, title
from workers.engines import Embed
from workers.engines.sparse import stemmer_of, tokens

# Sentences of the passages weighed for an answer: more would take longer than they are worth.
MOST_SENTENCES = 96
# A second source is named when it supports a sentence nearly as well as the first.
SECOND = 0.9
MOST_SOURCES = 2
# Shared words of all words of two sentences from which on they say the same thing, or the opposite.
SAID_ALIKE = 0.5
_CITATION = re.compile(r"[ \t]*\[\d{1,3}(?:\s*,\s*\d{1,3})*\]")
_MARKUP = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)]|#{1,6}|>)\s+|[*_`|]{1,3}")
_WORD = re.compile(r"\w")


@dataclass(frozen=True)
class Weights:
    """A logistic regression over cosine and shared words, and from which probability on a sentence is
    supported or weak."""

    bias: float
    cosine: float
    words: float
    supported: float
    weak: float

    def probability(self, cosine: float, words: float) -> float:
        return 1 / (1 + math.exp(-(self.bias + self.cosine * cosine + self.words * words)))


# Cosines of an embedder that nobody measured say little: words alone count then.
BY_WORDS = Weights(bias=-4.17, cosine=0.0, words=9.3, supported=0.5, weak=0.3)
# By the SHA-256 of the embedder that the cosines are of; `deploy/ANSWERS.md` says where they come from.
KNOWN = {
    # all-minilm-l6-v2
    "abcd637dba181e168da391c82d5c29f67ab857781e9bd72c2d8e338221ad709a": Weights(
        bias=-6.12, cosine=5.72, words=6.42, supported=0.5, weak=0.3
    ),
}


def weights_of(embedder_sha256: str) -> Weights:
    return KNOWN.get(embedder_sha256, BY_WORDS)


@dataclass(frozen=True)
class Unit:
    """A sentence of a passage that the model read."""

    excerpt: Excerpt
    text: str
    words: frozenset[str]
    vector: Sequence[float]


@dataclass(frozen=True)
class Fit:
    """How well excerpt `n` says a sentence: probability, the sentence in it that says it best,
    and which share of the words of both is in both."""

    n: int
    score: float
    alike: float
    unit: Unit


class Support:
    """The passages that a model read, ready to be asked about the sentences it wrote.

    `embed` gives vectors of length one. Numbers of the `question` may be repeated without proof.
    """

    def __init__(self, question: str, excerpts: Sequence[Excerpt], embed: Embed, weights: Weights) -> None:
        self._embed, self._weights = embed, weights
        self._question = Facts(question)
        pieces = [piece for excerpt in excerpts for piece in _pieces(excerpt)][:MOST_SENTENCES]
        vectors = embed([text for _excerpt, text in pieces]) if pieces else []
        self._units = [
            Unit(excerpt, text, frozenset(tokens(text, _stemmer(excerpt))), vector)
            for (excerpt, text), vector in zip(pieces, vectors, strict=True)
        ]
        self._read = {excerpt.n: excerpt for excerpt in excerpts}

    def statements(self, answer: str) -> list[Statement]:
        """A verdict for each sentence of the answer that says anything."""
        spans = [span for span in sentences(answer) if _WORD.search(plain(answer[slice(*span)]))]
        texts = [plain(answer[slice(*span)]) for span in spans]
        if not self._units or not texts:
            return [Statement(start, end, Verdict.UNSUPPORTED) for start, end in spans]
        return [
            self._judged(start, end, text, self._fits(text, vector))
            for (start, end), text, vector in zip(spans, texts, self._embed(texts), strict=True)
        ]

    def _fits(self, text: str, vector: Sequence[float]) -> list[Fit]:
        """Of each excerpt how well it says the text, best first."""
        found: dict[int, Fit] = {}
        stemmed: dict[str | None, frozenset[str]] = {}
        for unit in self._units:
            n, stemmer = unit.excerpt.n, _stemmer(unit.excerpt)
            wanted = stemmed.setdefault(stemmer, frozenset(tokens(text, stemmer)))
            shared = len(wanted & unit.words) / len(wanted) if wanted else 0.0
            alike = len(wanted & unit.words) / len(wanted | unit.words) if wanted else 0.0
            cosine = sum(a * b for a, b in zip(vector, unit.vector, strict=True))
            score = self._weights.probability(cosine, shared)
            if n not in found or score > found[n].score:
                found[n] = Fit(n, score, alike, unit)
        return sorted(found.values(), key=lambda fit: (-fit.score, fit.n))

    def _judged(self, start: int, end: int, text: str, fits: Sequence[Fit]) -> Statement:
        likely = [fit for fit in fits if fit.score >= self._weights.weak]
        if not likely:
            return Statement(start, end, Verdict.UNSUPPORTED, score=fits[0].score)
        reasons = {fit.n: self._against(text, [fit]) for fit in likely}
        agreeing = [fit for fit in likely if not reasons[fit.n]]
        if not agreeing and len(likely) > 1 and not self._against(text, likely[:2]):
            agreeing = likely[:2]
        if not agreeing:
            best = likely[0]
            verdict = Verdict.WEAK if reasons[best.n] == "name" else Verdict.UNSUPPORTED
            return Statement(start, end, verdict, (best.n,), best.score, reasons[best.n])
        best = agreeing[0]
        sources = tuple(fit.n for fit in agreeing[:MOST_SOURCES] if fit.score >= SECOND * best.score)
        if best.alike >= SAID_ALIKE and Facts(text).negated != Facts(best.unit.text).negated:
            return Statement(start, end, Verdict.WEAK, sources, best.score, "negation")
        verdict = Verdict.SUPPORTED if best.score >= self._weights.supported else Verdict.WEAK
        return Statement(start, end, verdict, sources, best.score)

    def _against(self, text: str, fits: Sequence[Fit]) -> str:
        """What the excerpts together lack of what the text says."""
        excerpts = [self._read[fit.n] for fit in fits]
        evidence = "\n".join(f"{title(excerpt.candidate)}\n{excerpt.text}" for excerpt in excerpts)
        language, stemmer = _language(excerpts[0]), _stemmer(excerpts[0])
        return disagreement(
            Facts(text, language, stemmer), Facts(evidence, language, stemmer), self._question
        )


def plain(text: str) -> str:
    """A sentence without the model's marks: citations, bullets, emphasis."""
    return _MARKUP.sub("", _CITATION.sub("", text)).strip()


def _pieces(excerpt: Excerpt) -> list[tuple[Excerpt, str]]:
    """Sentences, and rows of tables one by one."""
    found = (excerpt.text[start:end] for start, end in sentences(excerpt.text))
    return [(excerpt, piece) for text in found for piece in (text.splitlines() if CELLS in text else [text])]


def _language(excerpt: Excerpt) -> str:
    return excerpt.candidate.passage.version.language


def _stemmer(excerpt: Excerpt) -> str | None:
    return stemmer_of(_language(excerpt))
