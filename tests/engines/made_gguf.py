"""Writes GGUF files: small ones that are right, and ones that are wrong in a chosen way."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

F32 = 0
ALIGNMENT = 32
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# The least that a language model says of itself.
SETTINGS: dict[str, Any] = {
    "general.architecture": "llama",
    "general.type": "model",
    "general.name": "Tiny",
    "general.license": "apache-2.0",
    "llama.context_length": 128,
    "llama.block_count": 2,
    "llama.embedding_length": 32,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": [1, 2],
    "tokenizer.ggml.tokens": ["a", "b", "c"],
    "tokenizer.ggml.scores": [0.5, 1.5, -1.0],
    "tokenizer.chat_template": TEMPLATE,
    "general.quantized": True,
}
TENSORS = {"one": (32, 2), "two": (5,), "three": (32,)}


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def value(given: Any, signed: bool = False) -> bytes:
    """A number, a text or a list with its kind before it; lists are of signed numbers."""
    if isinstance(given, list | tuple):
        parts = [value(one, signed=True) for one in given]
        kind = parts[0][:4] if parts else struct.pack("<I", 4)
        return struct.pack("<I", 9) + kind + struct.pack("<Q", len(parts)) + b"".join(p[4:] for p in parts)
    if isinstance(given, str):
        return struct.pack("<I", 8) + text(given)
    if isinstance(given, bool):
        return struct.pack("<I?", 7, given)
    if isinstance(given, float):
        return struct.pack("<If", 6, given)
    return struct.pack("<Ii", 5, given) if signed or given < 0 else struct.pack("<II", 4, given)


def pairs(settings: Mapping[str, Any]) -> bytes:
    return b"".join(text(key) + value(given) for key, given in settings.items())


def tensor(name: str, dimensions: Sequence[int], offset: int, kind: int = F32) -> bytes:
    shape = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
    return text(name) + shape + struct.pack("<IQ", kind, offset)


def head(tensors: int, settings: int, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, settings)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)


def gguf(
    settings: Mapping[str, Any] = SETTINGS,
    tensors: Mapping[str, Sequence[int]] = TENSORS,
    weights: Mapping[str, np.ndarray[Any, Any]] | None = None,
    version: int = 3,
) -> bytes:
    """A whole file; tensors are of 32-bit numbers, zeros where there are no `weights`."""
    infos, data = b"", b""
    for name, dimensions in tensors.items():
        infos += tensor(name, dimensions, len(data))
        zeros = bytes(4 * int(np.prod(dimensions)))
        data += padded(weights[name].astype("<f4").tobytes() if weights else zeros)
    return padded(head(len(tensors), len(settings), version) + pairs(settings) + infos) + data
