"""PDF by PDFium: text in its order, words with boxes as the page is shown, headings by size and weight."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from workers.ingest.document import Box, ReadDocument
from workers.ingest.errors import BrokenFile, Encrypted
from workers.ingest.readers import File, Progress, ocr
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.page_layout import Bookmark, arrange
from workers.ingest.readers.page_lines import Line, RawWord, merge_side_by_side, unwoven

WORD = re.compile(r"[^\s\x00\x02\ufffe]+")
LINE = re.compile("([^\r\n\x02\ufffe]*)(\r\n|[\r\n]|[\x02\ufffe]|$)")
# What PDFium puts for the hyphen of a word cut at the end of a line; there is no line break then.
CUT = ("\x02", "\ufffe")
# PDFium's own numbers for why a document did not load (fpdfview.h).
NEEDS_PASSWORD, UNKNOWN_SECURITY = 4, 5
PAGE_WITHOUT_SIZE = (612.0, 792.0)
# Letters: with fewer a page that shows a large picture is a scan with a stamp or a page number on it.
LITTLE_TEXT = 150
MAX_BOOKMARKS = 5_000
# Where the text of a form's field and of a note on the page is kept.
FILLED = {pdfium_c.FPDF_ANNOT_WIDGET: b"V", pdfium_c.FPDF_ANNOT_FREETEXT: b"Contents"}
UNSEEN = pdfium_c.FPDF_ANNOT_FLAG_HIDDEN | pdfium_c.FPDF_ANNOT_FLAG_NOVIEW
UNTICKED = "Off"
MAX_FIELDS, MAX_FIELD_BYTES, FIELD_SIZE = 2_000, 20_000, 14.0
# What stands for glyphs of fonts that do not say which letters they are; of a page, the part that may.
MEANINGLESS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff]")
MOST_MEANINGLESS = 0.3
# An encryption that leaves the pages open and locks the files attached to them: an envelope.
FILES_LOCKED, PAGES_OPEN = rb"/EFF\s*/(?!Identity\b)", rb"/StmF\s*/Identity\b"
ENVELOPE = re.compile(
    rb"%s.{0,500}%s|%s.{0,500}%s" % (FILES_LOCKED, PAGES_OPEN, PAGES_OPEN, FILES_LOCKED), re.DOTALL
)
FIRST_WITH_ENVELOPES = 4
Size = tuple[float, float]


def read(file: File, progress: Progress) -> ReadDocument:
    """Raises Encrypted, BrokenFile, EmptyFile; for a scan that was not read LooksLikeAScan, TookTooLong."""
    document = open_document(file)
    total = len(document)
    progress(0, total)
    pages: list[list[Line]] = []
    builder = Builder("application/pdf")
    unread: list[int] = []
    sizes = []
    for index in range(total):
        lines, size, is_unread = _read_page(document, index)
        pages.append(lines)
        sizes.append(size)
        if is_unread:
            unread.append(index + 1)
        progress(index + 1, total)
    ocr.tell_unread(builder, unread, any(pages))
    heights = [height for _, height in sizes]
    for index, blocks in enumerate(arrange(pages, heights, _bookmarks(document))):
        builder.page(_label(document, index), *sizes[index])
        for kind, level, words in blocks:
            builder.words(kind, words, level)
    return builder.finish(_title(document))


def open_document(file: File) -> pdfium.PdfDocument:
    """Raises Encrypted or BrokenFile; a document whose user password is empty opens."""
    try:
        document = pdfium.PdfDocument(file if isinstance(file, Path) else file.read_bytes())
        if len(document) < 1:
            raise BrokenFile
        if _is_locked_envelope(document, file):
            raise Encrypted
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) in (NEEDS_PASSWORD, UNKNOWN_SECURITY):
            raise Encrypted from error
        raise BrokenFile(type(error).__name__) from error
    return document


def _is_locked_envelope(document: pdfium.PdfDocument, file: File) -> bool:
    """Whether what the document is there for is attached to it, and locked."""
    revision = pdfium_c.FPDF_GetSecurityHandlerRevision(document)
    has_files = revision >= FIRST_WITH_ENVELOPES and pdfium_c.FPDFDoc_GetAttachmentCount(document) > 0
    return has_files and ENVELOPE.search(file.read_bytes()) is not None


def _read_page(document: pdfium.PdfDocument, index: int) -> tuple[list[Line], Size, bool]:
    """The page's lines, its size in points as shown, and whether something on it could not be read."""
    try:
        page = document[index]
    except pdfium.PdfiumError:
        return [], PAGE_WITHOUT_SIZE, False
    try:
        size = page.get_size()
        text_page = page.get_textpage()
        try:
            lines = _PageText(page, text_page, size).lines()
        finally:
            text_page.close()
        return _recognised(page, size, lines) if _is_scan(page, size, lines) else (lines, size, False)
    except pdfium.PdfiumError:
        return [], PAGE_WITHOUT_SIZE, False
    finally:
        page.close()


def _is_scan(page: pdfium.PdfPage, size: Size, lines: list[Line]) -> bool:
    """Whether what people read on this page is a picture: there is no text, or a stamp on it, or only signs
    that the file's fonts give no meaning."""
    text = "".join(word for line in lines for word, _ in line.words)
    if not text:
        return bool(pdfium_c.FPDFPage_CountObjects(page) > 0 or pdfium_c.FPDFPage_GetAnnotCount(page) > 0)
    if len(MEANINGLESS.findall(text)) > MOST_MEANINGLESS * len(text):
        return True
    if len(text) >= LITTLE_TEXT:
        return False
    pictures = page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE], max_depth=3)
    return any(_area(picture.get_bounds()) > 0.5 * size[0] * size[1] for picture in pictures)


def _area(bounds: Box) -> float:
    left, bottom, right, top = bounds
    return (right - left) * (top - bottom)


def _recognised(page: pdfium.PdfPage, size: Size, lines: list[Line]) -> tuple[list[Line], Size, bool]:
    """The lines that recognition finds, if they say more than `lines`."""
    if not ocr.recogniser.available or min(size) <= 0:
        return lines, size, True
    scale = ocr.best_scale(*size)
    picture = page.render(scale=scale, grayscale=True).to_pil()
    darkest, lightest = picture.getextrema()
    if darkest == lightest:  # nothing is shown
        return lines, size, False
    try:
        found = ocr.recogniser.lines(picture, scale)
    except ocr.NotRecognised:
        return lines, size, True
    more = sum(map(_readable, found)) > sum(map(_readable, lines))
    return (found if more else lines), size, False


def _readable(line: Line) -> int:
    return sum(not MEANINGLESS.search(word) for word, _ in line.words)


class _PageText:
    """One page's text; calls PDFium per word and line, not per character, which is what takes the time."""

    def __init__(
        self, page: pdfium.PdfPage, text_page: pdfium.PdfTextPage, size: tuple[float, float]
    ) -> None:
        self.raw, self.page = text_page.raw, page.raw
        self.width, self.height = size
        self.matrix = _to_screen(page.raw, *size)
        self._rectangles = pdfium_c.FS_RECTF(), pdfium_c.FS_RECTF()
        self._numbers = [ctypes.c_double() for _ in range(2)]
        self._refs = [ctypes.byref(number) for number in self._numbers]
        self._name = ctypes.create_string_buffer(256)

    def lines(self) -> list[Line]:
        text, self.exact = self._units()
        found = []
        for match in LINE.finditer(text):
            line = self._line(match[1], match.start(1))
            if line:
                line.hyphen = match[2] in CUT
                found.append(line)
        for filled in self._filled():
            _insert(found, filled)
        return merge_side_by_side(unwoven(found))

    def _filled(self) -> Iterator[Line]:
        """What people filled in: the values of form fields, and text written onto the page."""
        for index in range(min(pdfium_c.FPDFPage_GetAnnotCount(self.page), MAX_FIELDS)):
            field = pdfium_c.FPDFPage_GetAnnot(self.page, index)
            if not field:
                continue
            try:
                key = FILLED.get(pdfium_c.FPDFAnnot_GetSubtype(field))
                text = _string(field, key) if key else ""
                hidden = pdfium_c.FPDFAnnot_GetFlags(field) & UNSEEN or text == UNTICKED
                rectangle = self._rectangles[0]
                if text.strip() and not hidden and pdfium_c.FPDFAnnot_GetRect(field, rectangle):
                    ax, ay = self._shown(rectangle.left, rectangle.bottom)
                    bx, by = self._shown(rectangle.right, rectangle.top)
                    box = min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)
                    # A tall field has its text at its top; one of a line stands on its lower edge.
                    size = min(box[3] - box[1], FIELD_SIZE) or 1.0
                    yield Line([(word, box) for word in text.split()], size, False, box[1] + size)
            finally:
                pdfium_c.FPDFPage_CloseAnnot(field)

    def _units(self) -> tuple[str, bool]:
        """The text, one character a UTF-16 unit, and whether its places are PDFium's character numbers."""
        count = pdfium_c.FPDFText_CountChars(self.raw)
        if count <= 0:
            return "", True
        # A character may become two units; PDFium writes as many as fit.
        buffer = (ctypes.c_ushort * (2 * count + 1))()
        written = pdfium_c.FPDFText_GetText(self.raw, 0, 2 * count, buffer)
        return "".join(map(chr, buffer[: max(written - 1, 0)])), written - 1 == count

    def _line(self, text: str, offset: int) -> Line | None:
        words: list[RawWord] = []
        first = last = -1
        for match in WORD.finditer(text):
            start = self._character(offset + match.start())
            end = self._character(offset + match.end() - 1)
            box = self._box(start, end)
            if box is None:
                continue
            word = match[0] if match[0].isascii() else _from_units(match[0])
            words.append((word, box))
            first, last = (start if first < 0 else first), end
        if not words:
            return None
        bold = self._is_bold(first) and self._is_bold(last)
        return Line(words, self._size(first), bold, self._baseline(first, words[0][1]))

    def _character(self, place: int) -> int:
        return place if self.exact else int(pdfium_c.FPDFText_GetCharIndexFromTextIndex(self.raw, place))

    def _box(self, first: int, last: int) -> Box | None:
        """The word's box as shown, as high as its font; None for what lies off the page, unseen."""
        one, two = self._rectangles
        if not (
            pdfium_c.FPDFText_GetLooseCharBox(self.raw, first, one)
            and pdfium_c.FPDFText_GetLooseCharBox(self.raw, last, two)
        ):
            return self._point(first)
        ax, ay = self._shown(min(one.left, two.left), min(one.bottom, two.bottom))
        bx, by = self._shown(max(one.right, two.right), max(one.top, two.top))
        left, right = (ax, bx) if ax < bx else (bx, ax)
        top, bottom = (ay, by) if ay < by else (by, ay)
        if not (left < self.width and right > 0 and top < self.height and bottom > 0):
            return None
        return max(left, 0.0), max(top, 0.0), min(right, self.width), min(bottom, self.height)

    def _point(self, character: int) -> Box:
        """For glyphs without extent: where the character stands."""
        if not pdfium_c.FPDFText_GetCharOrigin(self.raw, character, *self._refs):
            return 0.0, 0.0, 0.0, 0.0
        x, y = self._shown(self._numbers[0].value, self._numbers[1].value)
        return x, y, x, y

    def _shown(self, x: float, y: float) -> tuple[float, float]:
        a, b, c, d, e, f = self.matrix
        return a * x + c * y + e, b * x + d * y + f

    def _size(self, character: int) -> float:
        matrix = pdfium_c.FS_MATRIX()
        size = float(pdfium_c.FPDFText_GetFontSize(self.raw, character))
        if pdfium_c.FPDFText_GetMatrix(self.raw, character, matrix):
            size *= (matrix.c**2 + matrix.d**2) ** 0.5
        return size or 1.0

    def _baseline(self, character: int, box: Box) -> float:
        if pdfium_c.FPDFText_GetCharOrigin(self.raw, character, *self._refs):
            return self._shown(self._numbers[0].value, self._numbers[1].value)[1]
        return box[3]

    def _is_bold(self, character: int) -> bool:
        if pdfium_c.FPDFText_GetFontWeight(self.raw, character) >= 650:
            return True
        length = pdfium_c.FPDFText_GetFontInfo(self.raw, character, self._name, len(self._name), None)
        return 0 < length <= len(self._name) and b"bold" in self._name.value.lower()


def _string(field: pdfium_c.FPDF_ANNOTATION, key: bytes) -> str:
    length = min(int(pdfium_c.FPDFAnnot_GetStringValue(field, key, None, 0)), MAX_FIELD_BYTES)
    buffer = ctypes.create_string_buffer(length)
    pdfium_c.FPDFAnnot_GetStringValue(
        field, key, ctypes.cast(buffer, ctypes.POINTER(pdfium_c.FPDF_WCHAR)), length
    )
    return buffer.raw.decode("utf-16-le", "ignore").rstrip("\0")


def _insert(lines: list[Line], filled: Line) -> None:
    """After the last line that stands left of it at its height, else after the last above it."""
    beside = above = -1
    for place, line in enumerate(lines):
        if abs(line.baseline - filled.baseline) < 0.6 * filled.size and line.left <= filled.left:
            beside = place
        elif line.baseline < filled.baseline:
            above = place
    if beside >= 0:
        filled.baseline = lines[beside].baseline
    lines.insert((beside if beside >= 0 else above) + 1, filled)


def _from_units(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


def _to_screen(page: pdfium_c.FPDF_PAGE, width: float, height: float) -> tuple[float, ...]:
    """The affine map from page space to points from the top left, as PDFium itself shows the page."""
    # PageToDevice rounds to whole pixels: a large screen keeps the rounding below 1/100 point.
    scale = 128
    screen = round(width * scale), round(height * scale)
    x, y = ctypes.c_int(), ctypes.c_int()
    points = []
    for px, py in ((0, 0), (1000, 0), (0, 1000)):
        pdfium_c.FPDF_PageToDevice(page, 0, 0, *screen, 0, px, py, x, y)
        points.append((x.value / scale, y.value / scale))
    (e, f), (ax, ay), (cx, cy) = points
    return (ax - e) / 1000, (ay - f) / 1000, (cx - e) / 1000, (cy - f) / 1000, e, f


def _bookmarks(document: pdfium.PdfDocument) -> list[Bookmark]:
    """As far as the file's own table of contents can be read."""
    found = []
    with suppress(pdfium.PdfiumError, UnicodeError):
        for entry in islice(document.get_toc(), MAX_BOOKMARKS):
            target = entry.get_dest()
            page = target.get_index() if target else None
            if page is not None:
                found.append(Bookmark(page, entry.level, entry.get_title()))
    return found


def _label(document: pdfium.PdfDocument, index: int) -> str:
    try:
        return str(document.get_page_label(index))
    except (pdfium.PdfiumError, UnicodeError):
        return ""


def _title(document: pdfium.PdfDocument) -> str:
    """The title in the file's properties, unless a program put a file name there."""
    try:
        title = str(document.get_metadata_value("Title")).strip()
    except (pdfium.PdfiumError, UnicodeError):
        return ""
    is_name = re.search(r"^(microsoft |untitled)|\.\w{2,5}$", title, re.IGNORECASE)
    return "" if is_name or len(title) < 4 else title
