"""Numbers, units, names, codes and negations: what two texts must share before one can rest on the other.

Rules, not a model: they are the same for every language model and can be read. They are made to miss a
disagreement rather than to see one that is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from workers.engines.sparse import tokens

_SEPARATOR = "[,.'’\u00a0\u202f ]"
_DIGITS = rf"\d{{1,3}}(?:{_SEPARATOR}\d{{3}})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,]\d+)?"
_NUMBER = re.compile(
    rf"(?P<before>[$€£¥]|\b(?:USD|EUR|GBP|CHF|JPY)\s?)?(?<![\w.,/-])(?P<digits>{_DIGITS})"
    r"(?:st|nd|rd|th|\.)?(?!\w*\d)(?:[-\s]?(?P<scale>thousand|millionen|millions?|milliarden?|billions?|trillion|mio|mrd|mn|bn|k)\b\.?)?"
    r"(?:[-\s]?(?P<after>%|[^\W\d_°µ]{1,12}|[°µ]\w{1,4}|[$€£¥]))?",
    re.IGNORECASE,
)
_SCALES = {
    **dict.fromkeys(("thousand", "k"), 3),
    **dict.fromkeys(("million", "millions", "millionen", "mio", "mn"), 6),
    **dict.fromkeys(("billion", "billions", "bn", "milliarde", "milliarden", "mrd"), 9),
    "trillion": 12,
}
_COUNTS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_COUNTED = re.compile(rf"\b({'|'.join(_COUNTS)})\b", re.IGNORECASE)
# Units by what they are called, so that "5 mg" and "5 milligrams" agree and "5 mg" and "5 g" do not.
_UNITS = {
    name: unit
    for unit, names in {
        "%": "% percent prozent pct procent",
        "$": "$ usd dollar dollars",
        "€": "€ eur euro euros",
        "£": "£ gbp pound pounds",
        "mg": "mg milligram milligrams milligramm",
        "g": "g gram grams gramm",
        "µg": "µg mcg microgram micrograms",
        "kg": "kg kilogram kilograms kilogramm",
        "ml": "ml millilitre millilitres milliliter milliliters",
        "l": "l litre litres liter liters",
        "km": "km kilometre kilometres kilometer kilometers",
        "m": "m metre metres meter meters",
        "cm": "cm centimetre centimetres centimeter centimeters",
        "mm": "mm millimetre millimetres millimeter millimeters",
        "s": "s sec second seconds sekunde sekunden",
        "min": "min minute minutes minuten",
        "h": "h hour hours stunde stunden",
        "day": "day days tag tage tagen",
        "week": "week weeks woche wochen",
        "month": "month months monat monate monaten",
        "year": "year years jahr jahre jahren",
        "°C": "°c celsius",
        "°F": "°f fahrenheit",
    }.items()
    for name in names.split()
}
_MONTHS = [
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
]
_DATE = re.compile(r"\b\d{4}-(\d{1,2})(?:-\d{1,2})?\b|\b(\d{1,2})[./](\d{1,2})[./]\d{2,4}\b")
_CODE = re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[^\W\d_])\w[\w-]*\w\b")
_PERIOD = re.compile(r"(?:FY|CY|H|Q)\d{1,4}", re.IGNORECASE)
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)", re.IGNORECASE)
_NAME = re.compile(r"(?<![\w'’])[^\W\d_a-z][\w'’-]*")
_ACRONYM = re.compile(r"[A-Z]{2,6}")
_WORD = re.compile(r"[^\W\d_]+")
# These languages begin every noun with a capital.
_CAPITAL_NOUNS = {"de", "lb"}
# A whole number below this is not a rounded one: 2 is not 1.6.
LEAST_ROUNDED = 10
# Letters that two forms of a name must share at the beginning: Germany, German.
_SAME_BEGINNING = 4
_NEGATION = re.compile(
    r"n['’]t\b|\b(?:not|no|never|none|neither|nor|cannot|without|nicht|kein\w*|nie|niemals|ohne|pas|jamais|aucune?"
    r"|sans|nunca|ning[uú]n\w*|sin|tampoco|δεν|μη|μην|όχι|χωρίς|değil\w*|yok\w*)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Number:
    """`values` are what the digits may mean: 1.204 is a decimal here, a thousand there. `scale` is a power of
    ten that a word names."""

    values: frozenset[Decimal]
    scale: int = 0
    unit: str = ""


class Facts:
    """The facts of a text in a language by its ISO code, "" where none is known; read when asked for."""

    def __init__(self, text: str, language: str = "", stemmer: str | None = "english") -> None:
        self._text, self._language, self._stemmer = text, language, stemmer

    @cached_property
    def numbers(self) -> list[Number]:
        return list(_numbers(self._text))

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(tokens(self._text, self._stemmer)) | frozenset(_month_names(self._text))

    @cached_property
    def codes(self) -> list[str]:
        """Words of letters and digits: E07, KS-4471."""
        found = (match.group() for match in _CODE.finditer(self._text))
        return [code for code in found if not _ORDINAL.fullmatch(code) and not _is_amount(code)]

    @cached_property
    def names(self) -> list[str]:
        """Capitalised words but the first of each sentence, which would be anyway."""
        if self._language in _CAPITAL_NOUNS:
            return []
        return [
            match.group()
            for match in _NAME.finditer(self._text)
            if not _begins(self._text, match.start()) and len(match.group()) > 1
        ]

    @cached_property
    def negated(self) -> bool:
        return bool(_NEGATION.search(self._text))

    @cached_property
    def initials(self) -> str:
        return "".join(word[0] for word in _WORD.findall(self._text.casefold()))


def disagreement(said: Facts, evidence: Facts, question: Facts) -> str:
    """What `said` has and `evidence` has not: number, unit, code, name, or "" for nothing.

    Names that only the question has are no evidence either; its numbers may be repeated.
    """
    for number in said.numbers:
        same = [other for other in evidence.numbers if _same(number, other)]
        if not same and not any(_same(number, other) for other in question.numbers):
            return "number"
        if same and not _units_agree(number, same):
            return "unit"
    if any(not _has(evidence, code) for code in said.codes):
        return "code"
    if any(not _has_name(evidence, name) for name in said.names):
        return "name"
    return ""


def missing_names(asked: Facts, evidence: Facts) -> float:
    """The share of the names and codes of one text that the other has not, 0 where there are none.

    A period like FY2018 is no name: texts write it in many ways.
    """
    codes = {code for code in asked.codes if not _PERIOD.fullmatch(code)}
    names = {name for name in asked.names if name not in asked.codes}
    lacking = [not _has(evidence, code) for code in codes]
    lacking += [not _has_name(evidence, name) for name in names]
    return sum(lacking) / len(lacking) if lacking else 0.0


def _numbers(text: str) -> Iterator[Number]:
    for match in _DATE.finditer(text):
        yield from (Number(values) for values in _days_and_years(match.group()))
    for match in _NUMBER.finditer(_DATE.sub(" ", text)):
        scale = _SCALES.get((match["scale"] or "").lower(), 0)
        unit = _unit(match["before"]) or _unit(match["after"])
        yield Number(_values(match["digits"]), scale, unit)
    for match in _COUNTED.finditer(text):
        yield Number(frozenset({Decimal(_COUNTS.index(match[1].lower()) + 2)}))


def _days_and_years(date: str) -> Iterator[frozenset[Decimal]]:
    """Months are told by name; of 5/6/2031 either may be the day."""
    parts = [Decimal(part) for part in re.findall(r"\d+", date)]
    if len(re.match(r"\d+", date).group()) == len("2031"):  # type: ignore[union-attr]  # dates begin with one
        yield frozenset(parts[:1])
        yield from (frozenset({day}) for day in parts[2:])
    else:
        yield frozenset(parts[:2])
        yield frozenset({parts[2], parts[2] + 2000, parts[2] + 1900} if parts[2] < 100 else parts[2:])


def _unit(text: str | None) -> str:
    return _UNITS.get((text or "").strip().casefold(), "")


def _values(digits: str) -> frozenset[Decimal]:
    """Every reading of points and commas."""
    plain = re.sub(r"['’\u00a0\u202f ]", "", digits)
    marks = re.findall("[.,]", plain)
    whole = Decimal(re.sub("[.,]", "", plain))
    if not marks:
        return frozenset({whole})
    head, tail = re.split("[.,]", plain)[:-1], re.split("[.,]", plain)[-1]
    fraction = Decimal(f"{''.join(head)}.{tail}")
    if len(marks) > 1 and len(set(marks)) == 1:
        return frozenset({whole})
    if len(marks) > 1 or len(tail) != 3 or len(head[0]) > 3:
        return frozenset({fraction})
    return frozenset({whole, fraction})


def _same(said: Number, other: Number) -> bool:
    return any(_agree(a, said.scale, b, other.scale) for a in said.values for b in other.values)


def _agree(a: Decimal, scale: int, b: Decimal, other_scale: int) -> bool:
    """Equal, or `b` rounded as `a` is written; tables leave out their millions."""
    if a == b or a.scaleb(scale) == b.scaleb(other_scale):
        return True
    if scale:
        return any(_rounds(b.scaleb(power - scale), a) for power in (0, 3, 6, 9))
    return _places(b) > _places(a) and (_places(a) > 0 or a >= LEAST_ROUNDED) and _rounds(b, a)


def _places(value: Decimal) -> int:
    """Decimals as written."""
    return -int(value.as_tuple().exponent)


def _rounds(exact: Decimal, rounded: Decimal) -> bool:
    return abs(exact - rounded) <= Decimal(5).scaleb(-_places(rounded) - 1)


def _units_agree(number: Number, same: Iterable[Number]) -> bool:
    """A number in a table has its unit elsewhere."""
    return not number.unit or any(other.unit in {number.unit, ""} for other in same)


def _has(evidence: Facts, code: str) -> bool:
    whole, *parts = tokens(code, None)
    return whole in evidence.words or (bool(parts) and evidence.words.issuperset(parts))


def _has_name(evidence: Facts, name: str) -> bool:
    if evidence.words.intersection(tokens(name, evidence._stemmer)):
        return True
    folded = name.casefold()
    if _ACRONYM.fullmatch(name):
        return folded in evidence.initials
    least = max(_SAME_BEGINNING, round(len(folded) * 0.6))
    return any(word[:least] == folded[:least] for word in evidence.words if len(word) >= _SAME_BEGINNING)


def _month_names(text: str) -> Iterator[str]:
    """Of dates in digits; where day and month could be either, both."""
    for match in _DATE.finditer(text):
        for digits in filter(None, match.groups()):
            if 1 <= int(digits) <= len(_MONTHS):
                yield _MONTHS[int(digits) - 1]


def _is_amount(code: str) -> bool:
    """5mg, 12k, 20th: a number with what it counts."""
    found = re.fullmatch(r"(\d+)([^\W\d_]+)", code)
    return bool(found and (_unit(found[2]) or found[2].lower() in _SCALES))


def _begins(text: str, at: int) -> bool:
    """Whether a sentence, a line, a quotation or what follows a colon begins there."""
    before = text[:at].rstrip(" \t\"'“„«‘(*_-")
    return not before or before[-1] in ".!?:;\n|"
