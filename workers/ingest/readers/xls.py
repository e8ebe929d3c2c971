"""Workbooks of Excel 97 to 2003: a page a sheet, a row a line, as for those of today."""

from __future__ import annotations

import io

import xlrd

from workers.ingest.document import ReadDocument
from workers.ingest.errors import BrokenFile, Encrypted
from workers.ingest.readers import File, Progress
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.xlsx import cell_text, without_tail

MEDIA_TYPE = "application/vnd.ms-excel"


def read(file: File, progress: Progress) -> ReadDocument:
    """Raises Encrypted, BrokenFile."""
    try:
        # It prints remarks on what it reads.
        book = xlrd.open_workbook(file_contents=file.read_bytes(), on_demand=True, logfile=io.StringIO())
    except xlrd.XLRDError as error:
        raise (Encrypted if "encrypted" in str(error) else BrokenFile)("xlrd") from error
    builder = Builder(MEDIA_TYPE)
    progress(0, book.nsheets)
    for number in range(book.nsheets):
        sheet = book.sheet_by_index(number)
        builder.page(sheet.name)
        for row in range(sheet.nrows):
            builder.row(without_tail([_value(cell, book.datemode) for cell in sheet.row(row)]))
        book.unload_sheet(number)
        progress(number + 1, book.nsheets)
    return builder.finish()


def _value(cell: xlrd.sheet.Cell, datemode: int) -> str:
    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            return cell_text(xlrd.xldate_as_datetime(cell.value, datemode))
        except (ValueError, OverflowError):
            return cell_text(cell.value)
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return cell_text(bool(cell.value))
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(cell.value, ""))
    return cell_text(cell.value)
