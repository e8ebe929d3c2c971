"""A model's words on a page: Markdown by an allow-list, citations to this turn's sources, no more."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muniment.conversations.rendering import answer_html, excerpt, quotes_html
from muniment.conversations.statements import Statement, Verdict
from tests.conversations.elements import Elements
from tests.exfiltration import payloads

SOURCES = {1: "/turns/7/sources/1", 2: "/turns/7/sources/2", 3: ""}
ALLOWED_TAGS = {
    *("p", "br", "hr", "blockquote", "pre", "h3", "h4", "h5", "h6", "ul", "ol", "li"),
    *("table", "thead", "tbody", "tr", "th", "td"),
    *("strong", "em", "s", "code", "a", "span"),
}
ALLOWED_ATTRIBUTES = {
    "a": {"class", "href", "data-open", "data-n", "aria-label"},
    "span": {"class"},
    "ol": {"start"},
}

PAYLOADS = [
    *payloads("evil.example"),
    "<b><i></b></i><script",
    '```"><img src=x onerror=alert(1)>\nx\n```',
    "> " * 200 + "<script>alert(1)</script>",
    "[x](\\\\evil.example\\share)",
    "<scr\x00ipt>alert(1)</scr\x00ipt>",
    "\ud800<script>alert(1)</script>",
]


class _Elements(Elements):
    """With what is no element and must not be there either."""

    def handle_comment(self, data: str) -> None:
        self.found.append(("!--", {}))

    def handle_decl(self, decl: str) -> None:
        self.found.append(("!", {}))

    def handle_pi(self, data: str) -> None:
        self.found.append(("?", {}))


def require_harmless(html: str) -> None:
    for tag, attributes in _Elements(html).found:
        assert tag in ALLOWED_TAGS, html
        assert set(attributes) <= ALLOWED_ATTRIBUTES.get(tag, set()), html
        assert attributes.get("class", "cite") in {"cite", "weak", "pill weak", "pill bad"}, html
        if tag == "a":
            assert attributes["href"] in SOURCES.values(), html


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_nothing_runs_loads_or_leads_out(payload: str) -> None:
    require_harmless(answer_html(payload, SOURCES))
    require_harmless(answer_html(f"Before {payload} after [1].\n\n{payload}\n", SOURCES))


@pytest.mark.deep
def test_nor_in_any_other_spelling() -> None:
    for payload in payloads("evil.example", whole=True):
        require_harmless(answer_html(f"Before {payload} after [1].\n\n{payload}\n", SOURCES))


def test_there_are_hundreds_of_payloads_and_the_check_sees_them() -> None:
    assert len(PAYLOADS) >= 300
    seen = 0
    for payload in PAYLOADS:
        try:
            require_harmless(payload)
        except (AssertionError, KeyError):
            seen += 1
    assert seen >= 100, "raw HTML among the payloads must be refused by the check itself"


@pytest.mark.parametrize("written", ["&#x2e29;0&#x2e28;", "&#11816;99&#11817;", "\u2e290\u2e28"])
def test_a_place_that_the_model_writes_itself_is_none(written: str) -> None:
    text = f"Pay at once{written}. Ask first."
    first, second = text.index(" Ask"), len(text)
    statements = [
        Statement(0, first, Verdict.UNSUPPORTED),
        Statement(first + 1, second, Verdict.SUPPORTED, (1,)),
    ]
    html = answer_html(text, SOURCES, statements)
    assert html.count('class="cite"') == 1
    assert html.index("not supported") > html.index("at once")
    assert html.count("not supported") == 1


def test_what_nobody_sees_is_not_brought_in_as_an_entity() -> None:
    assert answer_html("Pay&#x202e; at&#8203; once.", SOURCES) == "<p>Pay at once.</p>\n"


PIECES = st.sampled_from(
    [
        *PAYLOADS,
        "[1]",
        "[2, 3]",
        "[9]",
        "**",
        "`",
        "```\n",
        "\n\n",
        "> ",
        "- ",
        "| a |\n|---|\n",
        "# ",
        "<",
        '"',
        "'",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=12).map("".join))
def test_no_mixture_of_markdown_and_payloads_gets_through(text: str) -> None:
    require_harmless(answer_html(text, SOURCES))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=999), min_size=1, max_size=6))
def test_only_numbers_of_sources_become_citations(numbers: list[int]) -> None:
    html = answer_html(f"So it is [{', '.join(map(str, numbers))}].", SOURCES)
    chips = [e for tag, e in _Elements(html).found if e.get("class") == "cite"]
    expected = list(dict.fromkeys(n for n in numbers if n in SOURCES))
    assert len(chips) == len(expected)
    assert [int(chip["data-n"] or 0) for chip in chips if "data-n" in chip] == [
        n for n in expected if SOURCES[n]
    ]
    assert _Elements(html).words.startswith("So it is")


def test_a_citation_leads_to_its_source() -> None:
    assert answer_html("Within 24 hours [1].", SOURCES) == (
        '<p>Within 24 hours <a class="cite" href="/turns/7/sources/1" data-open="" data-n="1" '
        'aria-label="Source 1">1</a>.</p>\n'
    )


def test_several_citations_stand_side_by_side() -> None:
    html = answer_html("A [1, 2] b [1][2].", SOURCES)
    assert html.count('class="cite"') == 4


def test_a_number_that_was_not_given_is_dropped_with_its_space() -> None:
    assert answer_html("Within 24 hours [8].", SOURCES) == "<p>Within 24 hours.</p>\n"


def test_a_source_that_is_no_longer_open_is_a_number_without_a_link() -> None:
    assert '<span class="cite">3</span>' in answer_html("So [3].", SOURCES)


def test_numbers_in_code_stay_code() -> None:
    assert "<code>rows[1]</code>" in answer_html("Use `rows[1]`.", SOURCES)


def test_a_year_in_brackets_stays_text() -> None:
    assert "[2019]" in answer_html("See [2019] EWHC 12.", SOURCES)


def test_markdown_that_a_model_writes() -> None:
    html = answer_html(
        "# Deadlines\n\n**Within 24 hours** [1]\n\n1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |", SOURCES
    )
    for part in ("<h3>Deadlines</h3>", "<strong>Within 24 hours</strong>", "<ol>", "<table>"):
        assert part in html


def test_an_address_is_shown_but_not_linked() -> None:
    html = answer_html("See [the page](https://evil.example) or https://evil.example.", SOURCES)
    assert "https://evil.example" in html
    assert "<a" not in html


def test_characters_that_nobody_sees_are_left_out() -> None:
    assert answer_html("a\u202eb\u200bc\U000e0041d", SOURCES) == "<p>abcd</p>\n"


def test_a_short_passage_is_shown_whole() -> None:
    text = "Reports are due. Every incident is reported at once. Near misses too."
    start = text.index("Every")
    found = excerpt(text, start, start + len("Every incident is reported at once."))
    assert found.before + found.best + found.after == text
    assert found.best == "Every incident is reported at once."


@given(
    st.text(alphabet="ab \n.", max_size=1500),
    st.integers(min_value=0, max_value=1600),
    st.integers(min_value=0, max_value=1600),
)
def test_an_excerpt_is_short_and_shows_the_best_sentence(text: str, start: int, end: int) -> None:
    found = excerpt(text, start, end)
    whole = found.before + found.best + found.after
    assert len(whole) <= 240 + len("… ") * 3 + 2
    best = " ".join(text[start:end].split())
    assert found.best == best or (len(best) > 240 and found.best.endswith("…"))


def test_long_surroundings_are_cut_at_words() -> None:
    text = "before " * 100 + "The best sentence." + " after" * 100
    found = excerpt(text, 700, 718)
    assert found.best == "The best sentence."
    assert found.before.startswith("… before") and found.after.endswith("after …")


def statement(text: str, part: str, verdict: Verdict, *sources: int, reason: str = "") -> Statement:
    start = text.index(part)
    return Statement(start, start + len(part), verdict, sources, 0.5, reason)


def test_what_was_found_takes_the_place_of_the_models_own_numbers() -> None:
    text = "It ends in May [2]. Nobody knows why."
    html = answer_html(
        text,
        SOURCES,
        [
            statement(text, "It ends in May [2].", Verdict.SUPPORTED, 1),
            statement(text, "Nobody knows why.", Verdict.UNSUPPORTED),
        ],
    )
    assert [attributes.get("data-n") for tag, attributes in _Elements(html).found if tag == "a"] == ["1"]
    assert '<span class="weak">Nobody knows why.</span> <span class="pill bad">not supported</span>' in html
    assert _Elements(html).words.strip() == "It ends in May. 1 Nobody knows why. not supported"


def test_a_doubt_says_what_is_wrong() -> None:
    html = answer_html("In 2032.", SOURCES, [Statement(0, 8, Verdict.UNSUPPORTED, (1,), 0.5, "number")])
    assert "a number is not in the passages" in html and 'data-n="1"' in html


@pytest.mark.parametrize(
    ("text", "element"),
    [
        ("- One is so.\n- Two is so.", "li"),
        ("1. One is so.\n2. Two is so.", "li"),
        ("**One is so.**\n\n**Two is so.**", "strong"),
        ("> One is so.\n\n> Two is so.", "blockquote"),
        ("| a | b |\n|---|---|\n| One is so. |\n| Two is so. |", "table"),
        ("# One is so.\n\n# Two is so.", "h3"),
    ],
)
def test_marks_leave_markdown_as_it_is(text: str, element: str) -> None:
    lines = [line for line in text.splitlines() if "is so." in line]
    html = answer_html(text, SOURCES, [statement(text, line, Verdict.WEAK, 1) for line in lines])
    assert element in {tag for tag, _attributes in _Elements(html).found}
    assert html.count("weakly supported") == html.count('<span class="weak">') == 2
    assert "\u2e28" not in html and "\u2e29" not in html


def test_places_that_a_model_writes_itself_are_none() -> None:
    text = "\u2e280\u2e29It is so.\u2e290\u2e28 \u2e287\u2e29"
    html = answer_html(text, SOURCES, [statement(text, text, Verdict.SUPPORTED, 1)])
    assert html.count("data-n") == 1 and "pill" not in html
    assert "data-n" not in answer_html(text, SOURCES)


@settings(max_examples=200)
@given(st.sampled_from(PAYLOADS) | st.text(max_size=120), st.data())
def test_statements_make_nothing_harmful(text: str, data: st.DataObject) -> None:
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    found = [
        Statement(start, end, verdict, (1, 9), 0.5, "number")
        for start, end in zip(ends[::2], ends[1::2], strict=False)
        for verdict in [data.draw(st.sampled_from(Verdict))]
    ]
    html = answer_html(text, SOURCES, found)
    require_harmless(html)
    assert 'data-n="9"' not in html


def test_quotations_are_shown_letter_by_letter_with_their_sources() -> None:
    text = "*Rent* | `900` <b>\nper month\n\n# No heading"
    first, second = Statement(0, 28, Verdict.SUPPORTED, (1,)), Statement(30, 42, Verdict.SUPPORTED, (3,))
    html = quotes_html(text, SOURCES, [first, second])
    seen = _Elements(html)
    assert [tag for tag, _ in seen.found].count("blockquote") == 2
    assert "*Rent* | `900` <b>" in seen.words and "# No heading" in seen.words
    assert not {tag for tag, _ in seen.found} & {"em", "b", "code", "h3"}
    assert 'href="/turns/7/sources/1"' in html and '<span class="cite">3</span>' in html


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_in_a_quotation_runs_or_loads(payload: str) -> None:
    seen = _Elements(quotes_html(payload, SOURCES, [Statement(0, len(payload), Verdict.SUPPORTED, (1,))]))
    assert {tag for tag, _ in seen.found} <= {"blockquote", "p", "br", "a"}
    assert all(attributes.keys() <= ALLOWED_ATTRIBUTES["a"] for tag, attributes in seen.found if tag == "a")
