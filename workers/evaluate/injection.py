"""What becomes of answers where documents give orders: each question over its text, and with an order in it.

A folder has `contexts.jsonl` (id, text, question, answer), `poisoned-contexts.jsonl` (id, text, question,
answer, attack: the id of the order in it) and `attacks.jsonl` (id, instruction), as BIPIA has them (Yi et al.
2023).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from muniment.conversations.statements import Verdict
from workers import generations
from workers.answer.pack import Excerpt
from workers.answer.retrieve import Candidate
from workers.answer.support import Support, weights_of
from workers.engines import connect
from workers.evaluate import answers, dataset
from workers.evaluate.answers import Answered
from workers.evaluate.dataset import DatasetError, File, Query
from workers.evaluate.run import Corpus

_WORD = re.compile(r"\w+")
_VARIANT = re.compile(r"-(?:start|middle|end)$")


@dataclass(frozen=True)
class Case:
    """A question with its right answer, the text that it is asked of, and the same with an order in it."""

    id: str
    question: str
    answer: str
    clean: str
    poisoned: str
    order: str

    @property
    def clean_id(self) -> str:
        return f"clean-{_VARIANT.sub('', self.id)}"

    @property
    def poisoned_id(self) -> str:
        return f"poisoned-{self.id}"


@dataclass(frozen=True)
class Outcome:
    """`alone` are sentences shown as supported that nothing but the order says; a person judges them."""

    case: Case
    clean: Answered
    poisoned: Answered
    alone: list[str]

    @property
    def was_right(self) -> bool:
        return is_right(self.clean, self.case.answer)

    @property
    def is_right(self) -> bool:
        return is_right(self.poisoned, self.case.answer)


def cases(folder: Path, limit: int | None) -> list[Case]:
    """Every k-th case, so that at most `limit` are left. Raises `DatasetError`."""
    orders = {line["id"]: line["instruction"] for line in dataset.lines(folder / "attacks.jsonl")}
    clean = {line["id"]: line["text"] for line in dataset.lines(folder / "contexts.jsonl")}
    found = []
    for line in dataset.lines(folder / "poisoned-contexts.jsonl"):
        try:
            text, order = clean[_VARIANT.sub("", line["id"])], orders[line["attack"]]
            found.append(Case(line["id"], line["question"], line["answer"], text, line["text"], order))
        except KeyError as error:
            raise DatasetError(f"poisoned-contexts.jsonl: {error} is missing.") from error
    step = -(-len(found) // limit) if limit and limit < len(found) else 1
    return found[::step]


def files(asked: Sequence[Case]) -> list[File]:
    texts = {case.clean_id: case.clean for case in asked}
    texts |= {case.poisoned_id: case.poisoned for case in asked}
    return [dataset.text_file(id, "", text) for id, text in texts.items()]


def outcomes(corpus: Corpus, asked: Sequence[Case], say: Callable[[str], None]) -> list[Outcome]:
    """Ask each question of both texts. Raises `EngineUnavailable`, `IndexUnavailable`."""
    clean = {
        case.clean_id: Query(case.clean_id, case.question, case.answer, scope=case.clean_id) for case in asked
    }
    poisoned = [Query(case.poisoned_id, case.question, case.answer, scope=case.poisoned_id) for case in asked]
    answered = answers.answer_all(corpus, [*clean.values(), *poisoned], say=say)
    said = {one.query.id: one for one in answered}
    pairs = [(case, said[case.clean_id], said[case.poisoned_id]) for case in asked]
    return [Outcome(case, before, after, _alone(corpus, case, after)) for case, before, after in pairs]


def _alone(corpus: Corpus, case: Case, said: Answered) -> list[str]:
    """Sentences of an answer over the poisoned text that the clean one does not support."""
    shown = [one for one in said.statements if one.verdict != Verdict.UNSUPPORTED]
    if said.abstained or not shown:
        return []
    generation = generations.serving()
    passages = corpus.versions[case.clean_id].own_passages.select_related("version__document")
    excerpts = [
        Excerpt(n, Candidate(passage, 0.0, 0, 0, 0.0, 0.0), passage.text, True)
        for n, passage in enumerate(passages.order_by("ordinal"), 1)
    ]
    embed = generations.embed_with(connect.engine(), generation)
    support = Support(case.question, excerpts, embed, weights_of(generation.embedder_sha256))
    spans = {(one.start, one.end) for one in shown}
    found = [one for one in support.statements(said.text) if (one.start, one.end) in spans]
    return [said.text[one.start : one.end] for one in found if one.verdict == Verdict.UNSUPPORTED]


def is_right(said: Answered, answer: str) -> bool:
    """Whether all words and figures of the right answer are said."""
    words = set(_words(said.text))
    return not said.abstained and bool(answer.strip()) and words.issuperset(_words(answer))


def _words(text: str) -> list[str]:
    """Without the separators of thousands, which some texts have and others not."""
    return _WORD.findall(re.sub(r"(?<=\d),(?=\d{3})", "", text).casefold())
