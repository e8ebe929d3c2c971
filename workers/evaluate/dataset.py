"""A data set's folder as typed values: documents, questions, and what is judged to answer them.

`corpus.jsonl` (id, title, text) or `files/` (any format, a document's id is its file name); `queries.jsonl`
(id, question, and optional answer, answerable, evidence, scope); optional `qrels.tsv` (query-id, doc-id,
score).
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from muniment.documents.names import clean_name
from muniment.pages.errors import Problem

# Long enough for every usual id; a longer one is named by its hash.
LONGEST_STEM = 150
CHUNK = 4 * 1024 * 1024


class DatasetError(Exception):
    """The folder is not as it must be; the sentence says where and what to do."""


@dataclass(frozen=True)
class File:
    """A document as it is uploaded. `content` is a path, or the bytes made from a line of the corpus."""

    document: str
    name: str
    content: Path | bytes
    sha256: str
    size: int

    def chunks(self) -> Iterator[bytes]:
        if isinstance(self.content, bytes):
            yield self.content
            return
        with self.content.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk


@dataclass(frozen=True)
class Evidence:
    """What a right answer rests on: a page, a text, or only a document."""

    document: str
    page: int | None = None
    text: str = ""


@dataclass(frozen=True)
class Query:
    """A question. `judged` has a grade for each judged document, 0 for one that does not help.

    `scope` is the document that it is asked of.
    """

    id: str
    question: str
    answer: str = ""
    answerable: bool = True
    evidence: tuple[Evidence, ...] = ()
    scope: str | None = None
    judged: tuple[tuple[str, int], ...] = ()

    @property
    def grades(self) -> dict[str, int]:
        """Judged documents; without judgements those of the evidence, each with grade 1."""
        return dict(self.judged) or {piece.document: 1 for piece in self.evidence}


def documents(folder: Path) -> list[File]:
    """The documents of `corpus.jsonl`, or of `files/`. Raises `DatasetError`."""
    corpus, files = _corpus(folder), _files(folder)
    if corpus.is_file():
        found = [_from_line(where, line) for where, line in _lines(corpus)]
    elif files.is_dir():
        found = [_from_file(path) for path in sorted(files.rglob("*")) if path.is_file()]
    else:
        raise DatasetError(f"{_name(folder)} has neither a file corpus.jsonl nor a folder files.")
    if not found:
        raise DatasetError(f"{_name(folder)} holds no document.")
    ids: set[str] = set()
    names: dict[str, str] = {}
    for file in found:
        if file.document in ids:
            raise DatasetError(f"Two documents have the id {file.document!r}: ids must differ.")
        if file.name in names:
            other = names[file.name]
            raise DatasetError(f"{other!r} and {file.document!r} are too alike as names. Rename one.")
        ids.add(file.document)
        names[file.name] = file.document
    return found


def has_documents(folder: Path) -> bool:
    return _corpus(folder).is_file() or _files(folder).is_dir()


def queries(folder: Path) -> list[Query]:
    """The questions with their judgements. Raises `DatasetError`."""
    path = folder / "queries.jsonl"
    if not path.is_file():
        raise DatasetError(f"{_name(folder)} has no file queries.jsonl.")
    found: dict[str, Query] = {}
    for where, line in _lines(path):
        query = _query(where, line)
        if query.id in found:
            raise DatasetError(f"{where}: the id {query.id!r} is there already.")
        found[query.id] = query
    if not found:
        raise DatasetError(f"{_name(folder)} has no question in queries.jsonl.")
    judged = _judgements(folder / "qrels.tsv", set(found))
    return [replace(query, judged=tuple(judged.get(query.id, {}).items())) for query in found.values()]


def sample(queries: tuple[Query, ...], limit: int | None) -> tuple[Query, ...]:
    """Every k-th question, so that at most `limit` are left."""
    if limit is None or limit >= len(queries):
        return queries
    return queries[:: -(-len(queries) // limit)]


def _corpus(folder: Path) -> Path:
    return folder / "corpus.jsonl"


def _files(folder: Path) -> Path:
    return folder / "files"


def _name(folder: Path) -> str:
    return folder.resolve().name or "dataset"


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Each line's object. Raises `DatasetError`."""
    if not path.is_file():
        raise DatasetError(f"There is no file {path.name} in {_name(path.parent)}.")
    yield from (line for _where, line in _lines(path))


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line's object, with its place for a message."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                where = f"{path.name}, line {number}"
                try:
                    value = json.loads(line)
                except json.JSONDecodeError as error:
                    raise DatasetError(f"{where}: this is no JSON ({error.msg}).") from error
                if not isinstance(value, dict):
                    raise DatasetError(f"{where}: a line must be a JSON object.")
                yield where, value
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path.name} is not in UTF-8.") from error


def _text(where: str, line: dict[str, Any], field: str, needed: bool = False) -> str:
    value = line.get(field)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise DatasetError(f"{where}: {field!r} must be a text.")
    if needed and not value.strip():
        raise DatasetError(f"{where}: {field!r} is empty.")
    return value


def _from_line(where: str, line: dict[str, Any]) -> File:
    """Some test collections hold empty documents; the reader refuses them as it refuses any other."""
    id, title, text = (
        _text(where, line, "id", needed=True),
        _text(where, line, "title"),
        _text(where, line, "text"),
    )
    return text_file(id, title, text)


def text_file(document: str, title: str, text: str) -> File:
    """A small web page: a format in which a title is a title, and no character of the text means anything."""
    paragraphs = [f"<p>{html.escape(part)}</p>" for part in text.split("\n\n") if part.strip()]
    head = f"<title>{html.escape(title)}</title>" if title.strip() else ""
    body = "\n".join(paragraphs)
    content = f'<!doctype html>\n<meta charset="utf-8">{head}\n{body}\n'.encode()
    stem = quote(document, safe=" ")
    if len(stem) > LONGEST_STEM:
        stem = hashlib.sha256(document.encode()).hexdigest()
    return File(
        document, clean_name(f"{stem}.html"), content, hashlib.sha256(content).hexdigest(), len(content)
    )


def _from_file(path: Path) -> File:
    try:
        name = clean_name(path.name)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return File(path.name, name, path, sha256, path.stat().st_size)
    except Problem as problem:
        raise DatasetError(f"{path.name!r}: {problem.detail}") from problem
    except OSError as error:
        raise DatasetError(f"{path.name!r} cannot be read.") from error


def _query(where: str, line: dict[str, Any]) -> Query:
    answerable = line.get("answerable")
    if not isinstance(answerable, bool | None):
        raise DatasetError(f"{where}: 'answerable' must be true or false.")
    evidence = line.get("evidence") or []
    if not isinstance(evidence, list):
        raise DatasetError(f"{where}: 'evidence' must be a list.")
    return Query(
        id=_text(where, line, "id", needed=True),
        question=_text(where, line, "question", needed=True),
        answer=_text(where, line, "answer"),
        answerable=answerable is not False,
        evidence=tuple(_evidence(where, piece) for piece in evidence),
        scope=_text(where, line, "scope") or None,
    )


def _evidence(where: str, piece: object) -> Evidence:
    if not isinstance(piece, dict):
        raise DatasetError(f"{where}: each piece of 'evidence' must be an object with 'doc'.")
    page = piece.get("page")
    if page is not None and (isinstance(page, bool) or not isinstance(page, int) or page < 1):
        raise DatasetError(f"{where}: a 'page' of the evidence must be a number from 1.")
    return Evidence(_text(where, piece, "doc", needed=True), page, _text(where, piece, "text"))


def _judgements(path: Path, known: set[str]) -> dict[str, dict[str, int]]:
    """Grades by query and document; a first line that names the columns is left out."""
    found: dict[str, dict[str, int]] = {}
    if not path.is_file():
        return found
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path.name} is not in UTF-8.") from error
    for number, line in enumerate(lines, 1):
        cells = line.split("\t")
        if not line.strip() or (number == 1 and cells[0] == "query-id"):
            continue
        where = f"{path.name}, line {number}"
        if len(cells) != 3:
            raise DatasetError(f"{where}: there must be three columns: query-id, doc-id, score.")
        query, document, score = cells
        if query not in known:
            raise DatasetError(f"{where}: queries.jsonl has no question {query!r}.")
        try:
            found.setdefault(query, {})[document] = int(score)
        except ValueError as error:
            raise DatasetError(f"{where}: the score must be a whole number.") from error
    return found
