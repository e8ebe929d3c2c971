"""Workbooks: a page a sheet, a row a line; values only, as they were when the file was saved."""

from __future__ import annotations

import datetime

from openpyxl import load_workbook

from workers.ingest.document import ReadDocument
from workers.ingest.readers import File, Progress
from workers.ingest.readers.builder import Builder

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def read(file: File, progress: Progress) -> ReadDocument:
    with file.open("rb") as stream:
        book = load_workbook(stream, read_only=True, data_only=True, keep_links=False)
        sheets = book.worksheets
        progress(0, len(sheets))
        builder = Builder(MEDIA_TYPE)
        for number, sheet in enumerate(sheets, 1):
            builder.page(sheet.title)
            # The size a sheet claims to have may be wrong in either direction.
            sheet.reset_dimensions()
            for row in sheet.iter_rows(values_only=True):
                builder.row(without_tail([cell_text(value) for value in row]))
            progress(number, len(sheets))
        return builder.finish(book.properties.title or "")


def cell_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return format(value, ".12g")
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return str(value)


def without_tail(cells: list[str]) -> list[str]:
    while cells and not cells[-1]:
        cells.pop()
    return cells
