"""An answer as a file with its sources: what stands in it, and that nothing in it is alive."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from itertools import pairwise

import docx
import pytest
from defusedxml.ElementTree import fromstring
from django.test import Client
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from muniment.audit.models import AuditEvent
from muniment.audit.queries import body_of
from muniment.conversations import word
from muniment.conversations.markdown import answer_markdown, code, lines, quotes_markdown, words
from muniment.conversations.models import Mode, Turn, TurnState
from muniment.conversations.statements import Statement, Verdict, stored
from muniment.documents.models import Document, Passage
from muniment.scope import Label
from tests.conversations import elements
from tests.conversations.conftest import Worker, client_of
from tests.conversations.test_rendering import PIECES
from tests.exfiltration import payloads
from tests.factories import publish_version
from tests.house import events

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]
FORMATS = ("md", "html", "docx")


def taken(page: Client, turn: Turn, format: str) -> bytes:
    response = page.get(reverse("export-answer", args=[turn.id, format]))
    assert response.status_code == 200
    return bytes(response.content)


def exported(page: Client, turn: Turn, format: str = "md") -> str:
    """The words of the file."""
    content = taken(page, turn, format)
    return words_of_docx(content) if format == "docx" else content.decode()


def words_of_docx(content: bytes) -> str:
    return "\n".join(paragraph.text for paragraph in docx.Document(io.BytesIO(content)).paragraphs)


def properties_of_docx(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        rows = fromstring(archive.read("docProps/custom.xml"))
    return {row.attrib["name"]: row[0].text or "" for row in rows}


def front_matter(text: str) -> dict[str, str]:
    assert text.startswith("---\n")
    rows = (line.split(": ", 1) for line in text.split("---\n")[1].splitlines())
    return {name: json.loads(value) for name, value in rows}


class Elements(elements.Elements):
    @property
    def tags(self) -> set[str]:
        return {tag for tag, _attributes in self.found}

    @property
    def facts(self) -> dict[str | None, str | None]:
        return {about.get("name"): about.get("content") for tag, about in self.found if tag == "meta"}


# what stands in it


@pytest.mark.parametrize("format", FORMATS)
def test_an_answer_is_taken_along_with_its_sources(page: Client, answered: Turn, format: str) -> None:
    url = reverse("export-answer", args=[answered.id, format])
    shown = page.get(reverse("conversation", args=[answered.conversation_id])).content.decode()
    assert f'href="{url}" download' in shown
    response = page.get(url)
    name = f"when-must-an-incident-be-reported.{format}"
    assert response.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    text = words_of_docx(response.content) if format == "docx" else response.content.decode()
    passage = Passage.objects.get(ordinal=0)
    for told in ("When must an incident be reported?", "Within 24 hours", "small-model", passage.sha256):
        assert told in text
    assert "Every incident is reported within 24 hours." in text
    assert "version 1" in text and "1 of 1 sentences are supported" in text
    assert "Written by a machine" in text and "read, not cited" in text


def test_machines_can_tell_that_a_machine_wrote_it(page: Client, answered: Turn) -> None:
    sha256 = hashlib.sha256(answered.answer.encode()).hexdigest()
    marks = front_matter(exported(page, answered))
    metas = Elements(exported(page, answered, "html")).facts
    properties = properties_of_docx(taken(page, answered, "docx"))
    for facts in (marks, metas, properties):
        assert facts["generated-by"] == "machine: small-model"
        assert facts["label"] == "internal" and facts["state"] == "answered"
        assert facts["answer-sha256"] == sha256


@pytest.mark.parametrize("format", FORMATS)
def test_the_trail_has_the_format_and_the_hash_of_the_file(page: Client, answered: Turn, format: str) -> None:
    content = taken(page, answered, format)
    (body,) = events("answer.exported")
    sha256 = hashlib.sha256(content).hexdigest()
    assert body["details"] == {"format": format, "sha256": sha256}
    assert body["object"]["label"] == Label.INTERNAL
    # The same words again are another file, so nobody can try words until a hash of the trail fits.
    assert taken(page, answered, format) != content


@pytest.mark.parametrize("format", FORMATS)
def test_it_does_not_leave_when_that_cannot_be_written_down(
    page: Client, answered: Turn, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from muniment.audit.errors import AuditUnavailable

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AuditUnavailable

    monkeypatch.setattr("muniment.conversations.services.record", refuse)
    response = page.get(reverse("export-answer", args=[answered.id, format]))
    assert response.status_code == 503
    assert b"24 hours" not in response.content


@pytest.mark.parametrize("format", FORMATS)
def test_doubts_stay_behind_their_sentences(page: Client, worker: Worker, format: str) -> None:
    worker.search()
    worker.begin()
    text = "Within 24 hours. By voice. On the moon."
    worker.end(TurnState.WEAK, text)
    checked = [
        Statement(0, 16, Verdict.SUPPORTED, (1,)),
        Statement(17, 26, Verdict.WEAK, (2,)),
        Statement(27, 39, Verdict.UNSUPPORTED, (), 0.1, "name"),
    ]
    Turn.objects.update(statements=stored(checked))
    found = exported(page, worker.turn, format)
    said = ["24 hours", "By voice", "weakly supported", "On the moon", "a name is not in the passages"]
    places = [found.index(words) for words in said]
    assert places == sorted(places)
    assert "1 of 3 sentences are supported" in found


@pytest.mark.parametrize("format", FORMATS)
def test_a_source_that_is_no_longer_open_is_named_as_such_and_not_quoted(
    page: Client, answered: Turn, document: Document, format: str
) -> None:
    Document.objects.filter(pk=document.pk).update(label=Label.SECRET)
    text = exported(page, answered, format)
    assert "deleted, or is no longer open to you" in text
    assert "Every incident" not in text and "incidents" not in text.replace("incident be", "")
    assert Passage.objects.get(ordinal=0).sha256 not in text
    assert "Label: secret" in text, "what is made of a secret document is secret"


@pytest.mark.parametrize("format", FORMATS)
def test_a_version_that_was_replaced_since_is_named(
    page: Client, answered: Turn, document: Document, format: str
) -> None:
    publish_version(document, ["Every incident is reported within 12 hours."])
    text = exported(page, answered, format)
    assert "version 1 (replaced since)" in text.replace("\\", "")
    assert "cites was replaced or withdrawn since" in text


@pytest.mark.parametrize("format", FORMATS)
def test_quotations_stay_quotations(page: Client, answered: Turn, format: str) -> None:
    Turn.objects.update(mode=Mode.QUOTE)
    text = exported(page, answered, format)
    assert "word for word" in text
    quoted = {"html": "<blockquote><p>Within", "md": "> Within 24 hours", "docx": "Within 24 hours [1]. [1]"}
    assert quoted[format] in text


def test_without_an_answer_there_is_no_file(page: Client, worker: Worker) -> None:
    worker.search()
    worker.end(TurnState.NOT_IN_DOCUMENTS, "Something", ())
    for format in FORMATS:
        assert page.get(reverse("export-answer", args=[worker.turn.id, format])).status_code == 404
    assert "download" not in page.get(reverse("turn", args=[worker.turn.id])).content.decode()


def test_there_is_no_other_format(page: Client, answered: Turn) -> None:
    assert page.get(reverse("export-answer", args=[answered.id, "pdf"])).status_code == 404
    assert not AuditEvent.objects.filter(action="answer.exported").exists()


# that nothing in it is alive

RENDERERS = {
    "commonmark": MarkdownIt("commonmark", {"html": True}),
    "tables": MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]),
}
INERT = {
    *("p", "br", "hr", "blockquote", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li"),
    *("table", "thead", "tbody", "tr", "th", "td", "strong", "em", "s", "code"),
}
PAGE = {
    *INERT,
    *("html", "head", "meta", "title", "style", "body", "div", "section", "span"),
}


def require_inert(markdown: str) -> None:
    """Whatever renders it, HTML let through: no element but words, no attribute, no address outside code."""
    for renderer in RENDERERS.values():
        html = renderer.render(markdown)
        for tag, attributes in Elements(html).found:
            assert tag in INERT, markdown
            assert set(attributes) <= {"start"}, markdown
    for token in MarkdownIt("commonmark").parse(markdown):
        for child in token.children or ():
            assert child.type == "code_inline" or "://" not in child.content, markdown


@pytest.mark.parametrize("text", payloads("evil.example"), ids=range(len(payloads("evil.example"))))
def test_nothing_of_an_answer_is_markup_in_markdown(text: str) -> None:
    whole = f"Before {text} after [1].\n\n{text}\n"
    require_inert(answer_markdown(whole, [1]))
    require_inert(answer_markdown(whole, [1], [Statement(0, len(whole), Verdict.WEAK, (1,))]))
    require_inert(quotes_markdown(whole, [1], [Statement(0, len(whole), Verdict.SUPPORTED, (1,))]))
    require_inert(lines(text))
    require_inert(words(text))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=12).map("".join), st.data())
def test_nor_is_anything_put_together_of_it(text: str, data: st.DataObject) -> None:
    at = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=4)))
    checked = [Statement(a, b, Verdict.WEAK, (1,)) for a, b in pairwise(at)]
    require_inert(answer_markdown(text, [1], checked))


@pytest.mark.deep
def test_nor_in_any_other_spelling() -> None:
    for text in payloads("evil.example", whole=True):
        require_inert(answer_markdown(f"Before {text} after [1].\n\n{text}\n", [1]))


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_of_others_is_alive_in_the_file(
    page: Client, answered: Turn, document: Document, format: str
) -> None:
    for text in payloads("evil.example")[::8]:
        hostile = text.replace("\0", "")
        Turn.objects.update(answer=f"{hostile} [1]", question=hostile, model=hostile[:120], statements={})
        Document.objects.update(name=hostile[:255])
        Passage.objects.update(text=hostile)
        found = exported(page, answered, format)
        if format == "md":
            require_inert(found.split("\n---\n", 1)[1])
            assert set(front_matter(found)) >= {"generated-by", "label"}
            continue
        if format == "docx":
            continue  # another test
        elements = Elements(found)
        assert elements.tags <= PAGE
        assert all("href" not in about and "src" not in about for _tag, about in elements.found)
        policies = [about["content"] for _tag, about in elements.found if "http-equiv" in about]
        assert len(policies) == 1 and str(policies[0]).startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("See http://evil.example/x now.", "See `http://evil.example/x` now."),
        ("http:[9]//evil.example", "`http://evil.example`"),
        ("Mail a@evil.example", "Mail `a@evil.example`"),
        ("Read evil.example/x", "Read evil\\.example/x"),
        ("Costs 3.5 %, 5 < 6", "Costs 3.5 %, 5 &lt; 6"),
        ("http://evil.example/`x`", "`http://evil.example/` `x`"),
        ("**Bold** and *thin*", "**Bold** and *thin*"),
        ("- one\n- two\n  - three", "- one\n- two\n  - three"),
        ("1. one\n2. two", "1. one\n2. two"),
        ("# Head\n\nText", "### Head\n\nText"),
        ("```mermaid\nx\n```", "```\nx\n```"),
        ("| a | b |\n|---|---|\n| 1 | `x\\|y` |", "| a | b |\n| --- | --- |\n| 1 | `x\\|y` |"),
        ("A [1], [2, 9].", "A \\[1\\], \\[2\\]."),
        ("2026\\. a year", "2026\\. a year"),
    ],
)
def test_what_the_page_shows_as_form_stays_form(text: str, written: str) -> None:
    assert answer_markdown(text, [1, 2]) == written


def test_code_holds_what_would_end_it() -> None:
    assert code("a `` b") == "```a `` b```"
    assert code("`") == "`` ` ``"


def test_another_persons_answer_is_no_file(answered: Turn, stranger: object) -> None:
    url = reverse("export-answer", args=[answered.id, "html"])
    assert client_of(stranger).get(url).status_code == 404  # type: ignore[arg-type]


def test_an_event_has_nothing_of_the_words(page: Client, answered: Turn) -> None:
    exported(page, answered)
    event = AuditEvent.objects.get(action="answer.exported")
    assert "incident" not in json.dumps(body_of(event))


# for word processors

WORDS_ONLY = {
    *("document", "body", "sectPr", "p", "pPr", "pStyle", "ind"),
    *("r", "rPr", "b", "i", "strike", "rFonts", "t", "br", "tab"),
}


def require_words_only(content: bytes) -> None:
    """No link, field, picture or object, and nothing outside that the file refers to."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert {tag.tag.partition("}")[2] for tag in fromstring(parts["word/document.xml"]).iter()} <= WORDS_ONLY
    for name in ("_rels/.rels", "word/_rels/document.xml.rels"):
        assert all(row.get("TargetMode") is None for row in fromstring(parts[name]))
    assert all(fromstring(part) is not None for part in parts.values())


def test_nothing_of_others_is_alive_in_a_word_file(page: Client, answered: Turn) -> None:
    for text in payloads("evil.example")[::8]:
        hostile = text.replace("\0", "")
        Turn.objects.update(answer=f"{hostile} [1]", question=hostile, model=hostile[:120], statements={})
        Document.objects.update(name=hostile[:255])
        Passage.objects.update(text=hostile)
        require_words_only(taken(page, answered, "docx"))


def test_what_the_page_shows_as_form_is_form_in_word_too() -> None:
    table = "| a | b |\n|---|---|\n| 1 | 2 |"
    text = f"# Head\n\nSome **bold** and `code` [1] [9].\n\n- one\n- two\n\n> said\n\n{table}"
    document = docx.Document(
        io.BytesIO(word.packed(word.answer_paragraphs(text, [1]), "", {"generated-by": "x"}))
    )
    found = [(paragraph.style.name, paragraph.text) for paragraph in document.paragraphs]
    assert [words for _style, words in found] == [
        *("Head", "Some bold and code [1].", "• one", "• two", "said", "a\tb", "1\t2")
    ]
    assert found[0][0] == "Heading 3" and found[4][0] == "Quote"
    assert [run.text for run in document.paragraphs[1].runs if run.bold] == ["bold"]
