"""Words on pictures of pages, by Tesseract inside this process: it starts no program, opens only its data."""

from __future__ import annotations

import math
import re
import resource
import time
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import tesserocr
from PIL import Image
from tesserocr import PSM, RIL

from workers.ingest.document import Box
from workers.ingest.errors import LooksLikeAScan, TookTooLong
from workers.ingest.limits import Limits
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.page_lines import Line, RawWord, merge_side_by_side

# Where systems keep Tesseract's data; Debian's packages use the first.
FOLDERS = tuple(map(Path, ("/usr/share/tesseract-ocr/5/tessdata", "/usr/share/tessdata", "/opt/tessdata")))
DOTS_PER_INCH = 300
POINTS_PER_INCH = 72
# A page may be as large as it likes; its picture may not.
MAX_PIXELS = 16_000_000
# Percent: below the first a word is a smudge, below the second a page is a photograph.
SURE_WORD, SURE_PAGE = 35, 55
# Heights of lines vary with their letters: what is so near to most of them is of the same size.
SAME_SIZE = 0.35
CUT = re.compile(r"[^\W\d_][-‐¬]$")
SEEN = re.compile(r"\w")
# What is ink is told from its surroundings (Sauvola), not by one grey for the whole page: a photograph has
# shadows, a table has coloured cells.
BY_NEIGHBOURHOOD = "2"


class NotRecognised(Exception):
    """This page was not read: there is no recognition on this machine, or its time is over."""


class Recogniser:
    """One for a file: it keeps count of the time that pages may take together."""

    def __init__(self, languages: str = "", limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.folder, self.languages = _installed(languages)
        self.until = time.monotonic() + self.limits.ocr

    @property
    def available(self) -> bool:
        return bool(self.languages)

    def lines(self, picture: Image.Image, scale: float) -> list[Line]:
        """The lines of a picture that has `scale` pixels a point, boxes in points. Raises NotRecognised."""
        left = min(self.limits.ocr_page, self.until - time.monotonic())
        if not self.available or left <= 0:
            raise NotRecognised
        grey = picture.convert("L")
        _allow_processor_time(left)
        api = self._api
        api.SetImageBytes(grey.tobytes(), *grey.size, 1, grey.width)
        api.SetSourceResolution(round(scale * POINTS_PER_INCH))
        began = time.process_time()
        done = api.Recognize(round(left * 1000))
        _allow_processor_time(time.process_time() - began - left)
        if not done:
            raise NotRecognised
        found = _lines(api.GetIterator(), scale)
        api.Clear()
        return found

    @cached_property
    def _api(self) -> Any:
        turned = (self.folder / "osd.traineddata").is_file()
        api = tesserocr.PyTessBaseAPI(
            path=f"{self.folder}/", lang=self.languages, psm=PSM.AUTO_OSD if turned else PSM.AUTO
        )
        api.SetVariable("thresholding_method", BY_NEIGHBOURHOOD)
        return api


def best_scale(width: float, height: float) -> float:
    """Pixels a point at which a page of this size, in points, is recognised."""
    return min(DOTS_PER_INCH / POINTS_PER_INCH, math.sqrt(MAX_PIXELS / (width * height)))


def tell_unread(builder: Builder, numbers: list[int], is_text_elsewhere: bool) -> None:
    """Warns of pages (from 1, in order) that show something but were not read.

    Raises LooksLikeAScan or TookTooLong when no other page has text either.
    """
    if numbers and not is_text_elsewhere:
        raise TookTooLong("recognition") if recogniser.available else LooksLikeAScan
    if numbers:
        builder.warnings.append(f"pages_not_read:{_ranges(numbers)}")


def _ranges(numbers: list[int]) -> str:
    """`1, 4-6` for 1, 4, 5, 6."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in runs)


def _installed(languages: str) -> tuple[Path, str]:
    """The folder and those of the languages (`deu+eng`) that are there; '' where none is."""
    for folder in FOLDERS:
        here = [
            name
            for name in languages.split("+")
            if re.fullmatch(r"\w+", name) and (folder / f"{name}.traineddata").is_file()
        ]
        if here:
            return folder, "+".join(here)
    return FOLDERS[0], ""


def _allow_processor_time(seconds: float) -> None:
    """Recognition has a limit of its own: what it takes is not counted against that of parsing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_CPU, (min(soft + math.ceil(seconds), hard), hard))


def _lines(place: Any, scale: float) -> list[Line]:
    lines: list[Line] = []
    sureness: list[float] = []
    for word in tesserocr.iterate_level(place, RIL.WORD) if place else ():
        if word.Empty(RIL.WORD):
            continue
        text = word.GetUTF8Text(RIL.WORD).strip()
        if word.IsAtBeginningOf(RIL.TEXTLINE) or not lines:
            size = word.RowAttributes()["row_height"] / scale
            lines.append(Line([], size, False, _baseline(word, scale)))
        if text:
            sure = word.Confidence(RIL.WORD)
            sureness.append(sure)
            if sure >= SURE_WORD:
                lines[-1].words.append(_placed(text, word.BoundingBox(RIL.WORD), scale))
    lines = [line for line in lines if any(SEEN.search(text) for text, _ in line.words)]
    if not lines or sum(sureness) / len(sureness) < SURE_PAGE:
        return []
    _same_sizes(lines)
    for line in lines:
        text, box = line.words[-1]
        if CUT.search(text):
            line.words[-1], line.hyphen = (text[:-1], box), True
    return merge_side_by_side(lines)


def _placed(text: str, box: tuple[int, int, int, int], scale: float) -> RawWord:
    left, top, right, bottom = (side / scale for side in box)
    placed: Box = (left, top, right, bottom)
    return text, placed


def _baseline(word: Any, scale: float) -> float:
    """Where the line stands, from the edge that is its page's top as it is read."""
    (x0, y0), (x1, y1) = word.Baseline(RIL.TEXTLINE)
    return float(y0 if abs(x1 - x0) >= abs(y1 - y0) else x0) / scale


def _same_sizes(lines: list[Line]) -> None:
    sizes: Counter[int] = Counter()
    for line in lines:
        sizes[round(line.size)] += len(line.words)
    usual = sizes.most_common(1)[0][0]
    for line in lines:
        near = abs(line.size - usual) <= SAME_SIZE * usual
        line.size = float(usual if near else round(line.size)) or 1.0


# What the readers of this process use; set for each file before it is read.
recogniser = Recogniser()


def prepare(languages: str, limits: Limits) -> None:
    global recogniser
    recogniser = Recogniser(languages, limits)
