"""An answer as a file for word processors: the few parts of Office Open XML that words in paragraphs need.

They are written here because this process loads no parser of documents. There is no link, no field, no
picture and no relationship to anything outside in them, so the words of others are words whatever they say.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from markdown_it.tree import SyntaxTreeNode

from muniment.conversations.rendering import CITATION, PLACE, UNSEEN, doubt_of, tree_of
from muniment.conversations.statements import Statement, Verdict

_NO_XML = re.compile("[\ufffe\uffff]")
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_KIND = "application/vnd.openxmlformats-officedocument.wordprocessingml"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_SIZES = {"Heading1": 32, "Heading2": 26, "Heading3": 24, "Heading4": 22, "Heading5": 22, "Heading6": 22}
_INDENT = 360  # twentieths of a point


@dataclass(frozen=True)
class Run:
    text: str
    bold: bool = False
    italic: bool = False
    struck: bool = False
    code: bool = False


@dataclass(frozen=True)
class Paragraph:
    """`style` is Heading1 to Heading6, Quote or nothing; `indent` is a number of steps."""

    runs: tuple[Run, ...]
    style: str = ""
    indent: int = 0


def paragraph(text: str, style: str = "", bold: bool = False, italic: bool = False) -> Paragraph:
    return Paragraph((Run(text, bold, italic),), style)


def quote_paragraphs(
    text: str, sources: Collection[int], statements: Sequence[Statement]
) -> Iterator[Paragraph]:
    """Sentences of the documents, each with its source."""
    for statement in statements:
        words = text[statement.start : statement.end]
        yield paragraph(words + _behind(statement, sources), "Quote")


def answer_paragraphs(
    text: str, sources: Collection[int], statements: Sequence[Statement] = ()
) -> Iterator[Paragraph]:
    """`sources` are the numbers that may be cited, which stand as [1]; doubts stand behind their sentence."""
    return _Writer(sources, statements).blocks(tree_of(text, statements).children)


def _behind(statement: Statement, sources: Collection[int]) -> str:
    cited = [f"[{n}]" for n in statement.sources if n in sources]
    doubt = [] if statement.verdict == Verdict.SUPPORTED else [f"({doubt_of(statement)})"]
    return "".join(f" {piece}" for piece in [*cited, *doubt])


class _Writer:
    def __init__(self, sources: Collection[int], statements: Sequence[Statement]) -> None:
        self.sources, self.statements = sources, statements

    def blocks(self, nodes: Iterable[SyntaxTreeNode], indent: int = 0) -> Iterator[Paragraph]:
        for node in nodes:
            yield from self.block(node, indent)

    def block(self, node: SyntaxTreeNode, indent: int) -> Iterator[Paragraph]:
        match node.type:
            case "heading":
                yield Paragraph(tuple(self.runs(node)), f"Heading{node.tag[1:]}", indent)
            case "bullet_list" | "ordered_list":
                yield from self.items(node, indent)
            case "blockquote":
                for inner in self.blocks(node.children, indent + 1):
                    yield replace(inner, style="Quote")
            case "fence" | "code_block":
                yield Paragraph((Run(PLACE.sub("", node.content).rstrip(), code=True),), "", indent)
            case "table":
                for row in (row for part in node.children for row in part.children):
                    yield Paragraph(tuple(self.cells(row)), "", indent)
            case "hr":
                return
            case _:
                yield Paragraph(tuple(self.runs(node)), "", indent)

    def items(self, node: SyntaxTreeNode, indent: int) -> Iterator[Paragraph]:
        first = int(node.attrGet("start") or 1)
        for number, item in enumerate(node.children, first):
            mark = f"{number}. " if node.type == "ordered_list" else "• "
            for inner in self.blocks(item.children, indent + 1):
                yield replace(inner, runs=(Run(mark), *inner.runs)) if mark else inner
                mark = ""

    def cells(self, row: SyntaxTreeNode) -> Iterator[Run]:
        for number, cell in enumerate(row.children):
            yield from [Run("\t")] if number else []
            yield from (replace(run, bold=run.bold or cell.type == "th") for run in self.runs(cell))

    def runs(self, node: SyntaxTreeNode) -> Iterator[Run]:
        for child in node.children:
            match child.type:
                case "text":
                    yield Run(self.text(child.content))
                case "softbreak" | "hardbreak":
                    yield Run("\n" if child.type == "hardbreak" else " ")
                case "code_inline":
                    yield Run(PLACE.sub("", child.content), code=True)
                case "strong":
                    yield from (replace(run, bold=True) for run in self.runs(child))
                case "em":
                    yield from (replace(run, italic=True) for run in self.runs(child))
                case "s":
                    yield from (replace(run, struck=True) for run in self.runs(child))
                case _:
                    yield from self.runs(child)

    def text(self, text: str) -> str:
        """The model's own numbers are dropped where sentences were checked, as on the page."""
        if self.statements:
            return PLACE.sub(self.at_place, CITATION.sub("", text))
        return CITATION.sub(self.at_citation, text)

    def at_place(self, found: re.Match[str]) -> str:
        return "" if found[1] else _behind(self.statements[int(found[2])], self.sources)

    def at_citation(self, found: re.Match[str]) -> str:
        cited = [n for n in dict.fromkeys(map(int, found[2].split(","))) if n in self.sources]
        return found[1] + " ".join(f"[{n}]" for n in cited) if cited else ""


def packed(paragraphs: Iterable[Paragraph], title: str, facts: Mapping[str, str]) -> bytes:
    """The file. `facts` become its properties, which programs read."""
    body = "".join(map(_paragraph, paragraphs))
    parts = {
        "[Content_Types].xml": _content_types(),
        "_rels/.rels": _relations(
            {
                f"{_OFFICE}/relationships/officeDocument": "word/document.xml",
                f"{_PACKAGE}/relationships/metadata/core-properties": "docProps/core.xml",
                f"{_OFFICE}/relationships/custom-properties": "docProps/custom.xml",
            }
        ),
        "word/_rels/document.xml.rels": _relations({f"{_OFFICE}/relationships/styles": "styles.xml"}),
        "word/document.xml": f'<w:document xmlns:w="{_W}"><w:body>{body}<w:sectPr/></w:body></w:document>',
        "word/styles.xml": _styles(),
        "docProps/core.xml": _core(title, facts["generated-by"]),
        "docProps/custom.xml": _custom(facts),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, _HEAD + text)
    return file.getvalue()


def _written(text: str) -> str:
    return escape(_NO_XML.sub("", UNSEEN.sub("", text)))


def _paragraph(paragraph: Paragraph) -> str:
    style = f'<w:pStyle w:val="{paragraph.style}"/>' if paragraph.style else ""
    indent = f'<w:ind w:left="{_INDENT * paragraph.indent}"/>' if paragraph.indent else ""
    return f"<w:p><w:pPr>{style}{indent}</w:pPr>{''.join(map(_run, paragraph.runs))}</w:p>"


def _run(run: Run) -> str:
    font = '<w:rFonts w:ascii="Courier New" w:hAnsi="Courier New"/>' if run.code else ""
    marks = {"<w:b/>": run.bold, "<w:i/>": run.italic, "<w:strike/>": run.struck}
    form = font + "".join(mark for mark, wanted in marks.items() if wanted)
    lines = [
        "<w:tab/>".join(f'<w:t xml:space="preserve">{_written(piece)}</w:t>' for piece in line.split("\t"))
        for line in run.text.split("\n")
    ]
    return f"<w:r><w:rPr>{form}</w:rPr>{'<w:br/>'.join(lines)}</w:r>"


def _content_types() -> str:
    kinds = {
        "/word/document.xml": f"{_KIND}.document.main+xml",
        "/word/styles.xml": f"{_KIND}.styles+xml",
        "/docProps/core.xml": "application/vnd.openxmlformats-package.core-properties+xml",
        "/docProps/custom.xml": "application/vnd.openxmlformats-officedocument.custom-properties+xml",
    }
    parts = "".join(f'<Override PartName="{name}" ContentType="{kind}"/>' for name, kind in kinds.items())
    relations = "application/vnd.openxmlformats-package.relationships+xml"
    return (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" ContentType="{relations}"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{parts}</Types>'
    )


def _relations(targets: Mapping[str, str]) -> str:
    rows = "".join(
        f'<Relationship Id="r{n}" Type="{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(targets.items(), 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{rows}</Relationships>'


def _styles() -> str:
    normal = '<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>'
    headings = "".join(
        f'<w:style w:type="paragraph" w:styleId="{name}"><w:name w:val="heading {name[-1]}"/>'
        f'<w:pPr><w:keepNext/><w:spacing w:before="240" w:after="120"/><w:outlineLvl w:val="{n}"/></w:pPr>'
        f'<w:rPr><w:b/><w:sz w:val="{size}"/></w:rPr></w:style>'
        for n, (name, size) in enumerate(_SIZES.items())
    )
    quote = (
        '<w:style w:type="paragraph" w:styleId="Quote"><w:name w:val="Quote"/>'
        f'<w:pPr><w:spacing w:after="120"/><w:ind w:left="{_INDENT}"/></w:pPr><w:rPr><w:i/></w:rPr></w:style>'
    )
    plain = (
        '<w:docDefaults><w:rPrDefault><w:rPr><w:sz w:val="22"/></w:rPr></w:rPrDefault>'
        '<w:pPrDefault><w:pPr><w:spacing w:after="120"/></w:pPr></w:pPrDefault></w:docDefaults>'
    )
    return f'<w:styles xmlns:w="{_W}">{plain}{normal}{headings}{quote}</w:styles>'


def _core(title: str, creator: str) -> str:
    return (
        f'<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>{_written(title)}</dc:title><dc:creator>{_written(creator)}</dc:creator>"
        "</cp:coreProperties>"
    )


def _custom(facts: Mapping[str, str]) -> str:
    """The set that any program may add properties to; its numbers begin at 2."""
    rows = "".join(
        f'<property fmtid="{{D5CDD505-2E9C-101B-9397-08002B2CF9AE}}" pid="{n}" name="{name}">'
        f"<vt:lpwstr>{_written(value)}</vt:lpwstr></property>"
        for n, (name, value) in enumerate(facts.items(), 2)
    )
    names = f'xmlns="{_OFFICE}/custom-properties" xmlns:vt="{_OFFICE}/docPropsVTypes"'
    return f"<Properties {names}>{rows}</Properties>"
