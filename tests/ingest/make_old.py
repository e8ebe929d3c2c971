"""Files of Microsoft's older container, made by hand: a workbook, a message, any streams a test needs."""

from __future__ import annotations

import struct

# Smaller streams would lie elsewhere: they are filled up.
SECTOR, SMALL = 512, 4096
NO_STREAM, END_OF_CHAIN, FREE, IS_TABLE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
Streams = dict[str, "bytes | Streams"]


def compound(streams: Streams) -> bytes:
    """A file of Microsoft's older container with these streams and folders."""
    entries: list[tuple[str, int, int, int, int, int]] = []  # name, kind, next, child, start, size
    sectors: list[bytes] = []
    chains: list[int] = []

    def store(data: bytes) -> int:
        padded = data.ljust(max(SMALL, -(-len(data) // SECTOR) * SECTOR), b"\0")
        first = len(sectors)
        sectors.extend(padded[n : n + SECTOR] for n in range(0, len(padded), SECTOR))
        chains.extend([*range(first + 1, len(sectors)), END_OF_CHAIN])
        return first

    def add(name: str, content: bytes | Streams) -> int:
        place = len(entries)
        entries.append((name, 0, NO_STREAM, NO_STREAM, 0, 0))
        if isinstance(content, bytes):
            entries[place] = (name, 2, NO_STREAM, NO_STREAM, store(content), max(SMALL, len(content)))
            return place
        kind = 1 if place else 5
        places = [
            add(inner, value) for inner, value in sorted(content.items(), key=lambda x: (len(x[0]), x[0]))
        ]
        for one, following in zip(places, [*places[1:], NO_STREAM], strict=False):
            entries[one] = (*entries[one][:2], following, *entries[one][3:])
        entries[place] = (name, kind, NO_STREAM, places[0] if places else NO_STREAM, END_OF_CHAIN, 0)
        return place

    add("Root Entry", streams)
    directory = b"".join(
        name.encode("utf-16-le").ljust(64, b"\0")
        + struct.pack("<HBBIII", 2 * len(name) + 2, kind, 1, NO_STREAM, following, child)
        + bytes(36)
        + struct.pack("<IQ", start, size)
        for name, kind, following, child, start, size in entries
    )
    first = store(directory)
    table = len(sectors)
    chains.append(IS_TABLE)
    assert len(chains) <= SECTOR // 4
    sectors.append(struct.pack(f"<{SECTOR // 4}I", *chains, *[FREE] * (SECTOR // 4 - len(chains))))
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    head += struct.pack(
        "<HHHHH6xIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, first, 0, SMALL, END_OF_CHAIN, 0, END_OF_CHAIN, 0
    )
    return head + struct.pack("<I", table) + b"\xff" * (108 * 4) + b"".join(sectors)


def old_workbook(locked: bool = False) -> bytes:
    """A workbook as Excel 97 wrote it: records of a number, a length and their content."""

    def record(number: int, content: bytes) -> bytes:
        return struct.pack("<HH", number, len(content)) + content

    def begin(kind: int) -> bytes:
        return record(0x809, struct.pack("<HHHHII", 0x600, kind, 0xDBB, 1996, 0, 6))

    def label(row: int, column: int, text: str) -> bytes:
        return record(0x204, struct.pack("<HHHHB", row, column, 0, len(text), 0) + text.encode("latin-1"))

    end = record(0x0A, b"")
    start = begin(5) + (record(0x2F, bytes(54)) if locked else b"")
    sheet = b"\x05\0Staff"
    where = len(start) + 4 + 6 + len(sheet) + len(end)
    content = start + record(0x85, struct.pack("<IBB", where, 0, 0) + sheet) + end + begin(0x10)
    content += label(0, 0, "Name") + label(0, 1, "Hours") + label(1, 0, "Ann")
    content += record(0x203, struct.pack("<HHHd", 1, 1, 0, 37.5)) + end
    return compound({"Workbook": content})


def outlook_message(attached: bytes = b"") -> bytes:
    """A message as Outlook saves it; without `attached` the file it names is empty."""

    def text(number: int, value: str) -> tuple[str, bytes | Streams]:
        return f"__substg1.0_{number:04X}001F", value.encode("utf-16-le")

    def properties(head: int, values: dict[int, tuple[int, int]]) -> tuple[str, bytes | Streams]:
        rows = b"".join(
            struct.pack("<HHIQ", kind, number, 6, value) for number, (kind, value) in values.items()
        )
        return "__properties_version1.0", bytes(head) + rows

    def strings(
        head: int, values: dict[int, str], binary: tuple[int, bytes] = (0, b""), **numbers: int
    ) -> Streams:
        lengths = {number: (0x1F, 2 * len(value) + 2) for number, value in values.items()}
        more = {int(number[1:], 16): (3, value) for number, value in numbers.items()}
        number, data = binary
        held = {number: (0x102, len(data))} if data else {}
        streams = dict([properties(head, lengths | more | held), *(text(n, v) for n, v in values.items())])
        return streams | ({f"__substg1.0_{number:04X}0102": data} if data else {})

    streams = strings(
        32, {0x37: "Pläne", 0x1000: "Hello.\r\n\r\nSee you.\r\n", 0xC1A: "Ann", 0xC1F: "ann@x.example"}
    )
    streams["__recip_version1.0_#00000000"] = strings(8, {0x3001: "Bob", 0x3003: "bob@x.example"}, x0C15=1)
    attachment = strings(8, {0x3707: "plan.pdf"}, binary=(0x3701, attached))
    streams["__attach_version1.0_#00000000"] = attachment
    return compound(streams)
