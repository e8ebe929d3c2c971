"""EUC-TW, which old systems in Taiwan write and Python does not know, by way of Big5.

The two sets hold the same characters in nearly the same order: runs of CNS 11643 become Big5 by a shift.
"""

from __future__ import annotations

import re

# Runs of a plane: the place of the last character and the shift of all since the run before; without: a gap.
FIRST_PLANE = """
    20+0 22+2 23 24-2 28 72+0 73+1 74-1 126+0 127+1 128-1 147+0 148+1 149-1 153+0 154 155-134 233+0 281
    455-48 469 489+5631 3289 4701-2819 5125-2818 5126-3243 7002-2819 7003-2432 7390-2820 7915-2819
    7916-2630 8105-2820 8189-2819 8190-2673 8244-2820 8245-2819 8246-2821 8336-2820 8690-2819
"""
SECOND_PLANE = """
    9+6280 42+6281 43+6329 91+6280 137+6281 138+6448 305+6280 2145+6281 2146+6928 2254+6281 2791+6282
    2792+5635 2892+6282 2893+5643 3292+6281 4929+6282 4930+6831 5076+6281 5077+6822 5364+6280 5365+7143
    5481+6279 5618+6280 5722+6281 5723+6702 5945+6280 6143+6281 6225+6282 6311+6283 6312+5914 6320+6282
    6473+6283 6529+6284 6530+6584 6643+6283 6644+5959 6786+6282 6787+5970 6832+6281 6903+6282 6904+6476
    7098+6281 7588+6282 7589+6325 7632+6281 7633+6282 7644+6283 7645+6271 7649+6282
"""
RUN = re.compile(r"(\d+)([+-]\d+)?")
CHARACTER = re.compile(
    rb"\x8e([\xa1\xa2])([\xa1-\xfe])([\xa1-\xfe])|([\xa1-\xfe])([\xa1-\xfe])|([\x00-\x7f]+)|(.)", re.DOTALL
)
# Characters in a row, and trail bytes of Big5: 0x40 to 0x7E and 0xA1 to 0xFE.
ROW, BIG5_ROW, LOW_TRAILS = 94, 157, 63
# In other encodings of two bytes the commonest characters lie where EUC-TW has none.
LEAST, MOSTLY = 10, 0.9
# Second bytes are spread evenly; letters of one byte, two by two, lie in the upper half alone.
LETTERS_FROM, SPREAD = 0xC0, 0.1


def decode(data: bytes) -> str | None:
    """The text, or None where these bytes are hardly EUC-TW."""
    parts: list[str] = []
    found = low = 0
    for match in CHARACTER.finditer(data):
        plane, row, column, first, second, plain, wrong = match.groups()
        if plain:
            parts.append(plain.decode("ascii"))
            continue
        if wrong:
            return None
        trail = (column or second)[0]
        character = _character(plane == b"\xa2", (row or first)[0], trail)
        found += bool(character)
        low += trail < LETTERS_FROM
        parts.append(character or "\ufffd")
    pairs = sum(not part.isascii() for part in parts)
    is_likely = found >= max(LEAST, MOSTLY * pairs) and low >= SPREAD * pairs
    return "".join(parts) if is_likely else None


def _character(is_second: bool, row: int, column: int) -> str:
    place = (row - 0xA1) * ROW + column - 0xA1
    for last, shift in PLANES[is_second]:
        if place <= last:
            return _big5(place + shift) if shift is not None else ""
    return ""


def _big5(place: int) -> str:
    lead, trail = divmod(place, BIG5_ROW)
    low = trail < LOW_TRAILS
    return bytes((0xA1 + lead, trail + 0x40 if low else trail - LOW_TRAILS + 0xA1)).decode("cp950", "ignore")


def _runs(text: str) -> tuple[tuple[int, int | None], ...]:
    return tuple((int(last), int(shift) if shift else None) for last, shift in RUN.findall(text))


PLANES = _runs(FIRST_PLANE), _runs(SECOND_PLANE)
