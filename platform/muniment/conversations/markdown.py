"""An answer as Markdown for other people's programs: what the page shows of it, and nothing that is alive.

Whoever reads the file may have any renderer, so nothing of the model's words may become markup: each
character that could is escaped in the way that most of them know, and what they would make a link of by
itself is code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence

from markdown_it.tree import SyntaxTreeNode

from muniment.conversations.rendering import CITATION, PLACE, UNSEEN, doubt_of, tree_of
from muniment.conversations.statements import Statement, Verdict

# Angle brackets and ampersands as entities, as not every renderer takes a backslash before them.
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", **{c: f"\\{c}" for c in "\\`*_{}[]#|~$^"}})
_ADDRESS = re.compile(r"://|//\w|www\.|@|^(mailto|xmpp|data|javascript):", re.IGNORECASE)
# A name of a machine: some renderers link it without being asked.
_DOT = re.compile(r"(?<=\w)\.(?=[^\W\d_]{2})")
_LINE_START = re.compile(r"^([-+=:]|\d{1,9}(?=[.)]))", re.MULTILINE)
# Stand for what is ours within a text; the model's words have none of them.
_OURS = re.compile("\ufdd0(\\d+)\ufdd1")
_EMPHASIS = {"strong": "**", "em": "*", "s": "~~"}


def words(text: str) -> str:
    """Text of others in one line: the same words, and no markup."""
    return _line(UNSEEN.sub("", _OURS.sub("", text)), [])


def lines(text: str) -> str:
    """The same with its lines kept."""
    return "\\\n".join(_begun(words(line)) for line in text.strip().splitlines() if line.strip())


def code(text: str) -> str:
    """In a span of code, where nothing is markup."""
    text = " ".join(text.split())
    fence = "`" * (_longest_run(text) + 1)
    pad = " " if "`" in (text[:1], text[-1:]) else ""
    return f"{fence}{pad}{text}{pad}{fence}" if text else ""


def quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def answer_markdown(text: str, sources: Collection[int], statements: Sequence[Statement] = ()) -> str:
    """`sources` are the numbers that may be cited, which stand as [1]; doubts stand behind their sentence."""
    return _Writer(sources, statements).blocks(tree_of(text, statements).children)


def quotes_markdown(text: str, sources: Collection[int], statements: Sequence[Statement]) -> str:
    """Sentences of the documents, each with its source."""
    blocks = []
    for statement in statements:
        behind = _cited(statement.sources, sources)
        blocks.append(quoted(" ".join([lines(text[statement.start : statement.end]), *behind])))
    return "\n\n".join(blocks)


def _cited(numbers: Iterable[int], sources: Collection[int]) -> list[str]:
    return [f"\\[{n}\\]" for n in dict.fromkeys(numbers) if n in sources]


class _Writer:
    def __init__(self, sources: Collection[int], statements: Sequence[Statement]) -> None:
        self.sources, self.statements = sources, statements

    def blocks(self, nodes: Iterable[SyntaxTreeNode], tight: bool = False) -> str:
        written = filter(None, (self.block(node) for node in nodes))
        return ("\n" if tight else "\n\n").join(written)

    def block(self, node: SyntaxTreeNode) -> str:
        match node.type:
            case "heading":
                return f"{'#' * int(node.tag[1:])} {self.inline(node)}".replace("\n", " ")
            case "bullet_list" | "ordered_list":
                return self.list(node)
            case "blockquote":
                return quoted(self.blocks(node.children))
            case "fence" | "code_block":
                return _fenced(PLACE.sub("", node.content))
            case "hr":
                return "* * *"
            case "table":
                return self.table(node)
            case _:
                return _begun(self.inline(node))

    def list(self, node: SyntaxTreeNode) -> str:
        first = int(node.attrGet("start") or 1)
        tight = all(child.hidden for item in node.children for child in item.children[:1])
        items = []
        for number, item in enumerate(node.children, first):
            mark = f"{number}. " if node.type == "ordered_list" else "- "
            inner = self.blocks(item.children, tight).replace("\n", "\n" + " " * len(mark))
            items.append(re.sub(r"^ +$", "", mark + inner, flags=re.MULTILINE))
        return ("\n" if tight else "\n\n").join(items)

    def table(self, node: SyntaxTreeNode) -> str:
        rows = [row for part in node.children for row in part.children]
        written = [[_cell(self.inline(cell)) for cell in row.children] for row in rows]
        ruled = [written[0], ["---"] * len(written[0]), *written[1:]]
        return "\n".join(f"| {' | '.join(row)} |" for row in ruled)

    def inline(self, node: SyntaxTreeNode) -> str:
        written = ""
        for piece in map(self.span, node.children):
            # Two spans of code side by side would share their fences, and what is in them would come out.
            written += f" {piece}" if written.endswith("`") and piece.startswith("`") else piece
        return written

    def span(self, node: SyntaxTreeNode) -> str:
        match node.type:
            case "text":
                return self.text(node.content)
            case "softbreak" | "hardbreak":
                return "\\\n" if node.type == "hardbreak" else "\n"
            case "code_inline":
                return code(PLACE.sub("", node.content))
            case "strong" | "em" | "s":
                mark, inner = _EMPHASIS[node.type], self.inline(node)
                return f"{mark}{inner}{mark}" if inner.strip() else inner
            case _:
                return self.inline(node)

    def text(self, text: str) -> str:
        """The model's own numbers are dropped where sentences were checked, as on the page."""
        text, ours = _OURS.sub("", text), list[str]()

        def stand(make: Callable[[re.Match[str]], str]) -> Callable[[re.Match[str]], str]:
            def put(found: re.Match[str]) -> str:
                ours.append(make(found))
                return f"\ufdd0{len(ours) - 1}\ufdd1"

            return put

        if self.statements:
            return _line(PLACE.sub(stand(self.at_place), CITATION.sub("", text)), ours)
        return _line(CITATION.sub(stand(self.at_citation), text), ours)

    def at_citation(self, found: re.Match[str]) -> str:
        cited = _cited(map(int, found[2].split(",")), self.sources)
        return found[1] + " ".join(cited) if cited else ""

    def at_place(self, found: re.Match[str]) -> str:
        """Nothing where a statement begins; behind it what it rests on, and what is wrong with it."""
        if found[1]:
            return ""
        statement = self.statements[int(found[2])]
        cited = _cited(statement.sources, self.sources)
        doubtful = statement.verdict != Verdict.SUPPORTED
        behind = [*cited, f"**({words(doubt_of(statement))})**"] if doubtful else cited
        return "".join(f" {piece}" for piece in behind)


def _line(text: str, ours: Sequence[str]) -> str:
    """Words escaped one by one; what is ours is put in after it, so that it can part no address."""
    pieces = []
    for piece in re.split(r"(\s+)", text):
        bare = _OURS.sub("", piece)
        if piece.isspace():
            pieces.append(" ")
        elif _ADDRESS.search(bare):
            pieces += [code(bare), *(ours[int(n)] for n in _OURS.findall(piece))]
        else:
            escaped = _DOT.sub(r"\\.", piece.translate(_ESCAPES)).replace("%%", r"\%\%")
            pieces.append(_OURS.sub(lambda found: ours[int(found[1])], escaped))
    return "".join(pieces)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text.replace("\n", " "))


def _begun(text: str) -> str:
    """No line begins as a list, a rule or a heading does, or with space as code does."""
    stripped = "\n".join(line.lstrip() for line in text.split("\n"))
    return _LINE_START.sub(lambda found: _escaped_start(found[1]), stripped)


def _escaped_start(start: str) -> str:
    return f"{start}\\" if start.isdigit() else f"\\{start}"


def _fenced(text: str) -> str:
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}\n{text.rstrip()}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
