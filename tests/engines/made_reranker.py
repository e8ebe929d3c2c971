"""A small cross-encoder made on the spot: real files, with weights by chance."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.engines.made_embedder import TOKENIZER


def make_reranker(folder: Path, words_of: Path, labels: int = 1, longest: int = 256) -> Path:
    """`words_of` is an embedder's folder, whose words this one knows."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(labels)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=longest,
        num_labels=labels,
        # Far apart, so that no two texts get the same number.
        initializer_range=0.5,
    )
    folder.mkdir(parents=True)
    BertForSequenceClassification(config).save_pretrained(folder, safe_serialization=True)
    for name in TOKENIZER:
        shutil.copy(words_of / name, folder)
    return folder
