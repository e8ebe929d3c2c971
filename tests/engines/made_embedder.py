"""A small embedder made on the spot: real files in sentence-transformers' layout, with weights by chance."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

TOKENIZER = ("special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt")


def make_embedder(
    folder: Path,
    words_of: Path,
    dimension: int = 32,
    longest: int = 256,
    prompts: dict[str, str] | None = None,
    pooling: str = "mean",
    normalised: bool = True,
) -> Path:
    """`words_of` is another embedder's folder, whose words this one knows."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(dimension)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=dimension,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=dimension,
        max_position_embeddings=512,
    )
    folder.mkdir(parents=True)
    BertModel(config).save_pretrained(folder, safe_serialization=True)
    for name in TOKENIZER:
        shutil.copy(words_of / name, folder)
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalised else [])]
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [
        {"idx": n, "name": str(n), "path": paths[kind], "type": f"sentence_transformers.models.{kind}"}
        for n, kind in enumerate(kinds)
    ]
    _write(folder / "modules.json", modules)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": False})
    _write(folder / "config_sentence_transformers.json", {"prompts": prompts or {}})
    how = {
        f"pooling_mode_{name}": name.startswith(pooling)
        for name in ("cls_token", "mean_tokens", "max_tokens")
    }
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": dimension, **how})
    return folder


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
