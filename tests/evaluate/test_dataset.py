"""A data set's folder is read into typed values, or refused with a sentence that says where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workers.evaluate.dataset import DatasetError, documents, queries, sample


def write(folder: Path, name: str, *lines: Any) -> None:
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / name).write_text("\n".join(text) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two documents and two questions that are as they should be."""
    write(tmp_path, "corpus.jsonl", {"id": "a/1", "title": "Lamps <old>", "text": "Green.\n\nRed & blue"}, "")
    with (tmp_path / "corpus.jsonl").open("a") as file:
        file.write(json.dumps({"id": "B", "text": "A door."}))
    write(
        tmp_path,
        "queries.jsonl",
        {"id": "q1", "question": "Which lamp?", "evidence": [{"doc": "a/1", "page": None, "text": "Green."}]},
        {"id": "q2", "question": "Which door?", "answerable": False, "scope": "B", "answer": None},
    )
    return tmp_path


def test_a_line_of_the_corpus_becomes_a_page_with_its_title(folder: Path) -> None:
    first, second = documents(folder)
    assert (first.document, first.name) == ("a/1", "a%2F1.html")
    page = b"".join(first.chunks()).decode()
    assert "<title>Lamps &lt;old&gt;</title>" in page
    assert "<p>Green.</p>\n<p>Red &amp; blue</p>" in page
    assert len(page.encode()) == first.size
    assert "<title>" not in b"".join(second.chunks()).decode()


def test_files_are_documents_under_their_names(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "b.pdf").write_bytes(b"%PDF")
    (tmp_path / "files" / "a.txt").write_bytes(b"text")
    assert [file.document for file in documents(tmp_path)] == ["a.txt", "b.pdf"]
    assert b"".join(documents(tmp_path)[1].chunks()) == b"%PDF"


def test_questions_carry_evidence_scope_and_judgements(folder: Path) -> None:
    write(folder, "qrels.tsv", "query-id\tdoc-id\tscore", "q1\tB\t2", "q1\ta/1\t0")
    first, second = queries(folder)
    assert first.grades == {"B": 2, "a/1": 0}
    assert first.evidence[0].text == "Green."
    assert (second.answerable, second.scope, second.grades) == (False, "B", {})


def test_without_judgements_the_documents_of_the_evidence_count(folder: Path) -> None:
    assert queries(folder)[0].grades == {"a/1": 1}


def test_every_kth_question_is_asked() -> None:
    everything = tuple(range(10))
    assert sample(everything, 3) == (0, 4, 8)  # type: ignore[arg-type,comparison-overlap]  # any sequence will do
    assert sample(everything, 5) == (0, 2, 4, 6, 8)  # type: ignore[arg-type,comparison-overlap]
    assert sample(everything, None) == sample(everything, 99) == everything  # type: ignore[arg-type,comparison-overlap]


@pytest.mark.parametrize(
    ("name", "line", "sentence"),
    [
        ("corpus.jsonl", '{"id": "c", ', "corpus.jsonl, line 1: this is no JSON"),
        ("corpus.jsonl", "[1]", "corpus.jsonl, line 1: a line must be a JSON object."),
        ("corpus.jsonl", {"id": 7, "text": "x"}, "corpus.jsonl, line 1: 'id' must be a text."),
        ("queries.jsonl", {"id": "q"}, "queries.jsonl, line 1: 'question' must be a text."),
        ("queries.jsonl", {"id": "q", "question": "?", "answerable": "no"}, "'answerable' must be true or"),
        (
            "queries.jsonl",
            {"id": "q", "question": "?", "evidence": {"doc": "B"}},
            "'evidence' must be a list.",
        ),
        ("queries.jsonl", {"id": "q", "question": "?", "evidence": [{"page": 1}]}, "'doc' must be a text."),
        ("queries.jsonl", {"id": "q", "question": "?", "evidence": [{"doc": "B", "page": 0}]}, "from 1."),
        ("qrels.tsv", "q1 B 1", "qrels.tsv, line 1: there must be three columns"),
        ("qrels.tsv", "q9\tB\t1", "qrels.tsv, line 1: queries.jsonl has no question 'q9'."),
        ("qrels.tsv", "q1\tB\tmuch", "qrels.tsv, line 1: the score must be a whole number."),
    ],
)
def test_what_is_wrong_is_said_with_its_place(folder: Path, name: str, line: Any, sentence: str) -> None:
    write(folder, name, line)
    with pytest.raises(DatasetError) as refused:
        documents(folder), queries(folder)
    assert sentence in str(refused.value)


def test_ids_must_differ(folder: Path) -> None:
    write(folder, "corpus.jsonl", {"id": "c", "text": "x"}, {"id": "c", "text": "y"})
    with pytest.raises(DatasetError, match="Two documents have the id 'c'"):
        documents(folder)
    write(folder, "queries.jsonl", {"id": "q", "question": "?"}, {"id": "q", "question": "?"})
    with pytest.raises(DatasetError, match=r"queries.jsonl, line 2: the id 'q' is there already"):
        queries(folder)


def test_a_folder_without_documents_or_questions_is_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"neither a file corpus.jsonl nor a folder files"):
        documents(tmp_path)
    write(tmp_path, "corpus.jsonl", {"id": "c", "text": "x"})
    with pytest.raises(DatasetError, match=r"no file queries.jsonl"):
        queries(tmp_path)
