"""Where sentences begin and end, by rules, in the scripts our readers meet; no model, no language setting."""

from __future__ import annotations

import re

CLOSERS = "\"'”’»)\\]}›」』）】"
BOUNDARY = re.compile(
    # a full stop needs a space after it; Greek asks with a semicolon
    rf"(?:(?P<stop>[.!?…]+)|(?<=[\u0370-\u03ff\u1f00-\u1fff]);)(?:[{CLOSERS}]|\[\d{{1,3}}\])*(?=\s)"
    # these end a sentence with or without one: CJK, Indic, Arabic, Armenian, Ethiopic, Burmese, Khmer
    rf"|[。！？｡।॥؟۔։።፧။។]+[{CLOSERS}]*"
    r"|(?P<line>\n)"
)
LAST_WORD = re.compile(r"[^\s(\[{\"'“‘«]+$")
NEXT_WORD = re.compile(r"\s*[\"'“‘«„(\[¿¡]*(\w*)")
DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]$")
NUMBER = re.compile(r"\(?\d{1,3}$")
BULLET = re.compile(r"\s*(?:[-*•–·]|\d{1,3}[.)])\s")
# A line this long without a full stop was wrapped by a program, not ended by a person.
WRAPPED = 60
LOOK_BACK = 40
# What parts the cells of a row, as readers write it.
CELLS = " | "

# Something always follows these.
_OPEN_ABBREVIATIONS = """
    dr mr mrs ms prof st sr jr hon rev gen col sgt capt lt gov sen rep pres vs viz cf e.g i.e eg ie no nos
    vol fig figs eq eqs sec sect ch chap p pp par para art ed eds al approx ca est dept univ bzw z.b d.h
    u.a o.ä s nr abs art bd hrsg vgl evtl ggf inkl zzgl sog tel str mme mlle mm m av bd n° sra sres ud uds
    dña pág núm aprox sig dott jan feb mar apr jun jul aug sep sept oct nov dec
"""
OPEN_ABBREVIATIONS = frozenset(_OPEN_ABBREVIATIONS.split())
# These may stand at the end too: they end a sentence when a word follows that likes to begin one.
_CLOSED_ABBREVIATIONS = """
    inc ltd co corp etc usw u.s u.k u.n e.u a.m p.m ph.d b.a m.a bros plc
"""
CLOSED_ABBREVIATIONS = frozenset(_CLOSED_ABBREVIATIONS.split())
_BEGINNERS = """
    the this that these those it its in on at for from with we he she they there if when while as by our
    his her their an all no however but and so to after before during der die das ein eine es er sie wir
    im in am le la les un une il elle el los las
"""
BEGINNERS = frozenset(_BEGINNERS.split())
_MONTHS = """
    januar februar märz april mai juni juli august september oktober november dezember jänner quartal
    jahrhundert
"""
MONTHS = frozenset(_MONTHS.split())


def sentences(text: str) -> list[tuple[int, int]]:
    """Ranges of the sentences in order; they do not overlap and only whitespace lies between them."""
    found: list[tuple[int, int]] = []
    start = 0
    for match in BOUNDARY.finditer(text):
        if match["line"]:
            ends = _line_ends(text, match.start())
        elif match["stop"]:
            ends = _stop_ends(text, start, match)
        else:
            ends = True
        if ends:
            _add(found, text, start, match.end())
            start = match.end()
    _add(found, text, start, len(text))
    return found


def _add(found: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        found.append((start, end))


def _line_ends(text: str, place: int) -> bool:
    """Whether a line break parts sentences: it does unless the line was only wrapped there."""
    following = text[place + 1 : place + 1 + LOOK_BACK]
    stripped = following.lstrip(" \t")
    if not stripped or stripped[0] == "\n" or BULLET.match(following):
        return True
    if stripped[0].islower():
        return False
    return "\n" in text[max(place - WRAPPED, 0) : place] or place < WRAPPED


def _stop_ends(text: str, start: int, match: re.Match[str]) -> bool:
    following = NEXT_WORD.match(text, match.end())
    word = following[1] if following else ""
    if word[:1].islower():
        return False
    if match["stop"] != ".":
        return True
    before = LAST_WORD.search(text, max(start, match.start() - LOOK_BACK), match.start())
    last = before[0] if before else ""
    lower = last.lower()
    if lower in OPEN_ABBREVIATIONS:
        # "No. 5", "Fig. 2" and "Dr. Who" go on; "He said no. We left." does not.
        return lower == "no" and not word[:1].isdigit()
    if lower in CLOSED_ABBREVIATIONS or DOTTED.match(last):
        return word.lower() in BEGINNERS
    if len(last) == 1 and last.isupper():
        return False  # an initial
    if NUMBER.match(last):
        begins = not text[start : match.start() - len(last)].strip()
        return not begins and word.lower() not in MONTHS
    return True
