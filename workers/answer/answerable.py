"""Whether the passages found hold an answer at all: judged before one is written, since no small model
refuses by itself.

How near the best sentence is in meaning, how many of the question's words the passage has, and which of the
names that the question asks about are missing there. Without the names a question about somebody of whom no
document knows is taken for one about his neighbours. `deploy/ANSWERS.md` says where the weights come from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from muniment.registry.queries import calibration
from workers.answer.facts import Facts, missing_names
from workers.answer.pack import title
from workers.answer.retrieve import Candidate
from workers.engines.sparse import stemmer_of

# Between the words of a file's name.
_SEPARATORS = re.compile(r"[\W_]+")
# Of the stored form, so that a later one can tell.
VERSION = 1


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against one passage, each from 0 to 1; `similarity` is a cosine."""

    similarity: float
    overlap: float
    missing: float


@dataclass(frozen=True)
class Weights:
    """A logistic regression over evidence; below the probability `least` nothing is answered."""

    bias: float
    similarity: float
    overlap: float
    missing: float
    least: float

    def probability(self, one: Evidence) -> float:
        weighed = self.similarity * one.similarity + self.overlap * one.overlap + self.missing * one.missing
        return 1 / (1 + math.exp(-(self.bias + weighed)))

    def likely(self, evidence: Sequence[Evidence]) -> float:
        """How probable it is that any of the passages holds an answer."""
        return max(map(self.probability, evidence), default=0.0)

    def hold(self, evidence: Sequence[Evidence]) -> bool:
        return self.likely(evidence) >= self.least


# Cosines of an embedder that nobody measured say little: words and names alone count then.
BY_WORDS = Weights(bias=-2.73, similarity=0.0, overlap=5.89, missing=-2.35, least=0.317)
# By the SHA-256 of the embedder that the cosines are of.
KNOWN = {
    # all-minilm-l6-v2
    "abcd637dba181e168da391c82d5c29f67ab857781e9bd72c2d8e338221ad709a": Weights(
        bias=-6.23, similarity=9.91, overlap=3.1, missing=-2.71, least=0.329
    ),
}


def evidence_of(question: str, candidates: Sequence[Candidate]) -> list[Evidence]:
    """For each passage, in its own language."""
    asked: dict[str, Facts] = {}
    found = []
    for candidate in candidates:
        passage, language = candidate.passage, candidate.passage.version.language
        names = asked.setdefault(language, Facts(question, language, stemmer_of(language)))
        name = _SEPARATORS.sub(" ", passage.version.document.name)
        text = Facts(f"{name}\n{title(candidate)}\n{passage.text}", language, stemmer_of(language))
        found.append(Evidence(candidate.similarity, candidate.overlap, missing_names(names, text)))
    return found


def weights_of(embedder_sha256: str) -> Weights:
    """Those that were calibrated here before those that come with the release."""
    kept = calibration(embedder_sha256)
    return read(kept) or KNOWN.get(embedder_sha256, BY_WORDS)


def stored(weights: Weights) -> dict[str, Any]:
    return {"v": VERSION, **asdict(weights)}


def read(kept: dict[str, Any]) -> Weights | None:
    """None where there are none, or by a later release in a form that is not known here."""
    if kept.get("v") != VERSION:
        return None
    return Weights(**{name: value for name, value in kept.items() if name != "v"})
