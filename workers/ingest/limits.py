"""How much of the machine one file may take."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Bytes, seconds and counts; `memory` is what the child may take beyond the warm reader it comes from.

    `cpu` is for parsing; recognising text on pictures has `ocr` seconds for all pages, `ocr_page` for one.
    """

    memory: int = 1024 * MIB
    cpu: int = 300
    wall: float = 1500.0
    ocr: float = 900.0
    ocr_page: float = 30.0
    file: int = 512 * MIB
    unpacked: int = 512 * MIB
    pages: int = 5_000
    text: int = 50 * MIB
    output: int = 128 * MIB
    nice: int = 10
