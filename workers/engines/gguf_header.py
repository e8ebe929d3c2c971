"""What a GGUF file says of itself: read before anything else opens it, and never its tensors.

Versions 2 and 3, little endian. The file is not trusted: every number that it says is compared with what is
left of the file before it is used, only a few short texts are kept, and whatever does not add up ends in
`NotAModel`. Lists may not hold lists, and tensors lie one behind the other, as llama.cpp demands too.
Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from workers.engines.errors import NotAModel

MAGIC = b"GGUF"
VERSIONS = (2, 3)
# The largest vocabularies of the day have 260,000 words and twice as many merges, in some 20 MB.
MAX_HEADER, MAX_STRINGS = 128 * 2**20, 4 * 2**20
MAX_PAIRS = MAX_TENSORS = 2**16
MAX_KEY, MAX_TENSOR_NAME, MAX_TEXT = 2**16 - 1, 63, 2**20
MAX_DIMENSIONS = 4
MAX_ALIGNMENT = 2**20
MAX_NUMBER = 2**31 - 1
# Lists of numbers that are kept: at most one number a layer.
MAX_KEPT_LIST = 4096

# Of values: the letters of `struct` for those of fixed size, by their number in the file.
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, LIST = 8, 9
# Of tensors, by their number: name, elements of a block, bytes of a block.
TENSOR_TYPES = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
    42: ("Q2_0", 64, 18),
}
KEPT_TEXTS = ("general.architecture", "general.type", "general.name", "general.license")
TEMPLATE = "tokenizer.chat_template"
WORDS = "tokenizer.ggml.tokens"
# Of the architecture: kept as a number, or as the largest one where there is one for each layer.
SIZES = (
    *("context_length", "block_count", "embedding_length", "vocab_size"),
    *("attention.head_count", "attention.head_count_kv"),
)
SPLIT = ("split.no", "split.count", "split.tensors.count")

DAMAGED = "The model file is damaged or incomplete ({}). Fetch it again."
STRANGERS = {
    b"PK\x03\x04": "an archive, as PyTorch writes: opening one can run code. Take the model's GGUF file.",
    b"\x80": "a Python pickle: opening one can run code. Take the model's GGUF file.",
    b"lmgg": "of a format before GGUF. Take a newer file of the model.",
    b"tjgg": "of a format before GGUF. Take a newer file of the model.",
}


@dataclass(frozen=True)
class Tensor:
    """`dimensions` in elements, the quickest first; `offset` in bytes from the start of the tensors."""

    name: str
    dimensions: tuple[int, ...]
    type: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class Header:
    """Texts are "" and numbers 0 where the file does not say. `context` in tokens, `layers`, `embedding`
    numbers a token; of heads the most that a layer has. `part` counts from 0 to `parts`, which is 1 for a
    model in one file."""

    version: int
    type: str
    architecture: str
    name: str
    licence: str
    context: int
    layers: int
    embedding: int
    heads: int
    kv_heads: int
    vocabulary: int
    template: str
    part: int
    parts: int
    all_tensors: int
    tensors: tuple[Tensor, ...]

    @property
    def template_sha256(self) -> str:
        return hashlib.sha256(self.template.encode()).hexdigest() if self.template else ""

    @property
    def quantisation(self) -> str:
        """The type that most bytes of the weights have."""
        bytes_of: Counter[str] = Counter()
        for tensor in self.tensors:
            bytes_of[tensor.type] += tensor.bytes
        return bytes_of.most_common(1)[0][0] if bytes_of else ""


def read_header(path: Path) -> Header:
    """The header of one file. Raises `NotAModel`, and OSError where it cannot be read at all."""
    with path.open("rb") as file:
        return header_of(file)


def header_of(file: BinaryIO) -> Header:
    """The same of a file that is open, at its start. Raises `NotAModel`."""
    size = os.fstat(file.fileno()).st_size
    _require_gguf(file.read(16))
    file.seek(len(MAGIC))
    return _Reader(file, size).header()


def _require_gguf(start: bytes) -> None:
    for magic, what in STRANGERS.items():
        if start.startswith(magic):
            raise NotAModel(f"The model file is not a GGUF file but {what}")
    if start[8:9] == b"{" and start[4:8] == bytes(4):
        raise NotAModel(
            "The model file is not a GGUF file but safetensors, which an embedder has in a folder. For a "
            "language model take its GGUF file."
        )
    if not start.startswith(MAGIC):
        raise NotAModel("The model file is not a GGUF file, the only format of language models here.")
    version = int.from_bytes(start[4:8], "little")
    if int.from_bytes(start[4:8], "big") in VERSIONS:
        raise NotAModel("The model file is made for machines of the other byte order. Take the usual one.")
    if version not in VERSIONS:
        raise NotAModel(f"The model file is GGUF of version {version}; 2 and 3 are read. Take another one.")


class _Reader:
    """`left` is how many bytes the header may still have: never more than are left of the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._end = min(size, MAX_HEADER)
        self._strings = 0
        self._at = len(MAGIC)

    @property
    def left(self) -> int:
        return self._end - self._at

    def header(self) -> Header:
        version, tensor_count, pair_count = self._unpack("<IQQ")
        # The smallest pair has 8 + 1 + 4 + 1 bytes, the smallest tensor 8 + 1 + 4 + 4 + 8.
        self._require_count(pair_count, MAX_PAIRS, 14, "settings")
        values = self._pairs(pair_count)
        alignment = _number(values, "general.alignment", 32)
        if alignment & (alignment - 1) or not 1 <= alignment <= MAX_ALIGNMENT:
            raise NotAModel(DAMAGED.format("its alignment"))
        self._require_count(tensor_count, MAX_TENSORS, 25, "tensors")
        tensors = self._tensors(tensor_count, alignment)
        return _header(version, values, tensors)

    def _pairs(self, count: int) -> dict[str, Any]:
        """Values that somebody asks for; of others only that they are there."""
        values: dict[str, Any] = {}
        for _ in range(count):
            key = self._text(MAX_KEY, "the name of a setting")
            if not key or key in values:
                raise NotAModel(DAMAGED.format("a setting without a name, or twice"))
            values[key] = self._value(key)
        return values

    def _value(self, key: str) -> Any:
        (kind,) = self._unpack("<I")
        if kind == STRING:
            if key in KEPT_TEXTS or key == TEMPLATE:
                return self._text(MAX_TEXT, key)
            self._skip_string()
            return ""
        if kind == LIST:
            return self._list(key)
        return self._unpack(f"<{self._letter(kind)}")[0]

    def _list(self, key: str) -> Any:
        """How many strings, or the largest number; None of other and longer ones."""
        kind, count = self._unpack("<IQ")
        if kind == STRING:
            self._require_count(count, MAX_STRINGS - self._strings, 8, "words")
            self._strings += count
            for _ in range(count):
                self._skip_string()
            return count if key == WORDS else None
        letter = self._letter(kind)
        size = struct.calcsize(f"<{letter}")
        self._require_count(count, MAX_HEADER, size, "numbers")
        if 1 <= count <= MAX_KEPT_LIST:
            return max(self._unpack(f"<{count}{letter}"))
        return self._skip(count * size)

    def _letter(self, kind: int) -> str:
        if kind not in NUMBERS:
            raise NotAModel(DAMAGED.format("a value of no kind, or a list of lists"))
        return NUMBERS[kind]

    def _tensors(self, count: int, alignment: int) -> tuple[Tensor, ...]:
        tensors: dict[str, Tensor] = {}
        next_offset = 0
        for _ in range(count):
            tensor = self._tensor()
            if not tensor.name or tensor.name in tensors:
                raise NotAModel(DAMAGED.format("a tensor without a name, or twice"))
            if tensor.offset != next_offset:
                raise NotAModel(DAMAGED.format("a tensor lies where none should"))
            next_offset += _padded(tensor.bytes, alignment)
            tensors[tensor.name] = tensor
        start = _padded(self._at, alignment)
        if any(start + tensor.offset + tensor.bytes > self._size for tensor in tensors.values()):
            raise NotAModel(DAMAGED.format("the end of it is missing"))
        return tuple(tensors.values())

    def _tensor(self) -> Tensor:
        name = self._text(MAX_TENSOR_NAME, "the name of a tensor")
        (count,) = self._unpack("<I")
        if count > MAX_DIMENSIONS:
            raise NotAModel(DAMAGED.format("a tensor of too many dimensions"))
        dimensions = self._unpack(f"<{count}Q")
        kind, offset = self._unpack("<IQ")
        if kind not in TENSOR_TYPES:
            raise NotAModel(
                f"The model file has weights of a kind that is not known here ({kind}): it is damaged, or of "
                "another time than this program. Take another file of the model."
            )
        word, block, size = TENSOR_TYPES[kind]
        elements = 1
        for dimension in dimensions:
            elements *= dimension
        if not elements or (dimensions[0] if dimensions else 1) % block:
            raise NotAModel(DAMAGED.format("a tensor of impossible size"))
        return Tensor(name, dimensions, word, offset, elements // block * size)

    def _require_count(self, count: int, most: int, bytes_each: int, what: str) -> None:
        if count > most or count * bytes_each > self.left:
            raise NotAModel(DAMAGED.format(f"it says that it has {count} {what}"))

    def _text(self, most: int, what: str) -> str:
        length = self._length()
        if length > most:
            raise NotAModel(DAMAGED.format(f"{what} is {length} bytes long"))
        try:
            return self._take(length).decode()
        except UnicodeDecodeError:
            raise NotAModel(DAMAGED.format(f"{what} is no text")) from None

    def _skip_string(self) -> None:
        self._skip(self._length())

    def _length(self) -> int:
        return int.from_bytes(self._take(8), "little")

    def _unpack(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(form, self._take(struct.calcsize(form)))

    def _take(self, count: int) -> bytes:
        self._require_left(count)
        data = self._file.read(count)
        if len(data) != count:
            raise NotAModel(DAMAGED.format("it changed while it was read"))
        self._at += count
        return data

    def _skip(self, count: int) -> None:
        self._require_left(count)
        self._file.seek(count, os.SEEK_CUR)
        self._at += count

    def _require_left(self, count: int) -> None:
        if count > self.left:
            raise NotAModel(DAMAGED.format("it ends before what it says of itself does"))


def _header(version: int, values: dict[str, Any], tensors: tuple[Tensor, ...]) -> Header:
    texts = {key: values.get(key, "") for key in (*KEPT_TEXTS, TEMPLATE)}
    if not all(isinstance(text, str) for text in texts.values()):
        raise NotAModel(DAMAGED.format("a number where a text should be"))
    architecture = texts["general.architecture"]
    sizes = {name: _number(values, f"{architecture}.{name}") for name in SIZES}
    part, parts, all_tensors = (_number(values, key) for key in SPLIT)
    if part >= max(parts, 1):
        raise NotAModel(DAMAGED.format("it is a part that the model does not have"))
    return Header(
        version=version,
        type=texts["general.type"],
        architecture=architecture,
        name=texts["general.name"],
        licence=texts["general.license"],
        context=sizes["context_length"],
        layers=sizes["block_count"],
        embedding=sizes["embedding_length"],
        heads=sizes["attention.head_count"],
        kv_heads=sizes["attention.head_count_kv"] or sizes["attention.head_count"],
        vocabulary=_number(values, WORDS) or sizes["vocab_size"],
        template=texts[TEMPLATE],
        part=part,
        parts=max(parts, 1),
        all_tensors=all_tensors or len(tensors),
        tensors=tensors,
    )


def _number(values: dict[str, Any], key: str, default: int = 0) -> int:
    # A list that is empty, or longer than anybody asks for, is kept as None.
    found = values.get(key)
    value = default if found is None else found
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_NUMBER:
        raise NotAModel(DAMAGED.format(f"{key[:80]} is no number that it can be"))
    return value


def _padded(count: int, alignment: int) -> int:
    return -(-count // alignment) * alignment
