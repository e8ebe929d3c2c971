"""Tiny language models with weights by chance, one of each family of the day, made by the shapes it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.engines.made_gguf import gguf

CONTEXT, EMBEDDING, FEED, LAYERS = 256, 32, 48, 2
HEADS, KV_HEADS, HEAD = 4, 2, 16
EXPERTS, EXPERTS_USED, EXPERT_FEED = 4, 2, 24
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Family:
    """`words` are its control words: the first begins a text, the second ends a turn. `blocks` gives the
    shapes of a layer's weights. `cut` names how llama.cpp cuts texts before words are merged; without it the
    words are SentencePiece's."""

    name: str
    template: str
    words: tuple[str, ...]
    blocks: Callable[[int], Shapes]
    settings: Mapping[str, Any] = field(default_factory=dict)
    cut: str = ""
    layers: int = LAYERS

    @property
    def ends(self) -> str:
        return self.words[1]


def make(family: Family, path: Path) -> Path:
    tokenizer = _bytes_and_merges(family) if family.cut else _pieces(family)
    words = len(tokenizer["tokens"])
    shapes: Shapes = {
        "token_embd.weight": (EMBEDDING, words),
        "output_norm.weight": (EMBEDDING,),
        "output.weight": (EMBEDDING, words),
    }
    for layer in range(family.layers):
        block = {"attn_norm.weight": (EMBEDDING,), **family.blocks(layer)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    settings: dict[str, Any] = {
        "general.architecture": family.name,
        "general.type": "model",
        "general.name": f"Tiny {family.name}",
        f"{family.name}.block_count": family.layers,
        **{f"{family.name}.{key}": value for key, value in (USUAL | dict(family.settings)).items()},
        **{f"tokenizer.ggml.{key}": value for key, value in tokenizer.items()},
        "tokenizer.chat_template": family.template,
    }
    path.write_bytes(gguf(settings, shapes, {name: _weights(name, shapes[name]) for name in shapes}))
    return path


def _weights(name: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The same for the same name. Norms stay near one, so that no layer loses what the one before said."""
    chance = np.random.default_rng(sum(name.encode()))
    return chance.normal(1.0 if "norm" in name else 0.0, 0.02 if "norm" in name else 0.2, shape[::-1])


def _bytes_and_merges(family: Family) -> dict[str, Any]:
    """A word for each byte, as byte-level BPE writes them, and two that are merged of others."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    signs = [chr(byte) for byte in printable] + [chr(256 + at) for at in range(len(others))]
    tokens = [*signs, "do", "dose", "se", *family.words]
    return {
        "model": "gpt2",
        "pre": family.cut,
        "tokens": tokens,
        "token_type": [CONTROL if token in family.words else NORMAL for token in tokens],
        "merges": ["d o", "s e", "do se"],
        **_marks(tokens, family),
    }


def _pieces(family: Family) -> dict[str, Any]:
    """As SentencePiece has them: letters and a few words with their scores, and bytes for all else."""
    letters = [chr(byte) for byte in range(33, 127)]
    of_bytes = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = ["<unk>", *family.words, *of_bytes, "▁", *letters, "do", "se", "dose", "▁dose"]
    kinds = {"<unk>": UNKNOWN} | dict.fromkeys(family.words, CONTROL) | dict.fromkeys(of_bytes, BYTE)
    return {
        "model": "llama",
        "tokens": tokens,
        "scores": [
            float(-at) if kinds.get(token, NORMAL) == NORMAL else 0.0 for at, token in enumerate(tokens)
        ],
        "token_type": [kinds.get(token, NORMAL) for token in tokens],
        "unknown_token_id": 0,
        "add_space_prefix": False,
        **_marks(tokens, family),
    }


def _marks(tokens: list[str], family: Family) -> dict[str, Any]:
    return {
        "bos_token_id": tokens.index(family.words[0]),
        "eos_token_id": tokens.index(family.words[1]),
        "add_bos_token": False,
    }


USUAL = {
    "context_length": CONTEXT,
    "embedding_length": EMBEDDING,
    "feed_forward_length": FEED,
    "attention.head_count": HEADS,
    "attention.head_count_kv": KV_HEADS,
    "attention.key_length": HEAD,
    "attention.value_length": HEAD,
    "attention.layer_norm_rms_epsilon": 1e-6,
    "rope.dimension_count": HEAD,
    "rope.freq_base": 10000.0,
}
MIXED = {
    "expert_count": EXPERTS,
    "expert_used_count": EXPERTS_USED,
    "expert_feed_forward_length": EXPERT_FEED,
}
ATTENTION: Shapes = {
    "attn_q.weight": (EMBEDDING, HEADS * HEAD),
    "attn_k.weight": (EMBEDDING, KV_HEADS * HEAD),
    "attn_v.weight": (EMBEDDING, KV_HEADS * HEAD),
    "attn_output.weight": (HEADS * HEAD, EMBEDDING),
}
QK_NORMS: Shapes = {"attn_q_norm.weight": (HEAD,), "attn_k_norm.weight": (HEAD,)}
DENSE: Shapes = {
    "ffn_norm.weight": (EMBEDDING,),
    "ffn_gate.weight": (EMBEDDING, FEED),
    "ffn_up.weight": (EMBEDDING, FEED),
    "ffn_down.weight": (FEED, EMBEDDING),
}
OF_EXPERTS: Shapes = {
    "ffn_gate_inp.weight": (EMBEDDING, EXPERTS),
    "ffn_gate_exps.weight": (EMBEDDING, EXPERT_FEED, EXPERTS),
    "ffn_up_exps.weight": (EMBEDDING, EXPERT_FEED, EXPERTS),
    "ffn_down_exps.weight": (EXPERT_FEED, EMBEDDING, EXPERTS),
}
SHARED: Shapes = {
    "ffn_norm.weight": (EMBEDDING,),
    "ffn_gate_shexp.weight": (EMBEDDING, EXPERT_FEED),
    "ffn_up_shexp.weight": (EMBEDDING, EXPERT_FEED),
    "ffn_down_shexp.weight": (EXPERT_FEED, EMBEDDING),
}
# Low-rank attention: each head has 8 numbers without a place and 8 with one.
RANK, NO_PLACE, PLACE, SAID = 16, 8, 8, 8
LATENT: Shapes = {
    "attn_q_a_norm.weight": (RANK,),
    "attn_kv_a_norm.weight": (RANK,),
    "attn_q_a.weight": (EMBEDDING, RANK),
    "attn_q_b.weight": (RANK, HEADS * (NO_PLACE + PLACE)),
    "attn_kv_a_mqa.weight": (EMBEDDING, RANK + PLACE),
    "attn_k_b.weight": (NO_PLACE, RANK, HEADS),
    "attn_v_b.weight": (RANK, SAID, HEADS),
    "attn_output.weight": (HEADS * SAID, EMBEDDING),
}
BIASES: Shapes = {
    "attn_q.bias": (HEADS * HEAD,),
    "attn_k.bias": (KV_HEADS * HEAD,),
    "attn_v.bias": (KV_HEADS * HEAD,),
    "attn_output.bias": (EMBEDDING,),
    "ffn_gate_inp.bias": (EXPERTS,),
    "ffn_gate_exps.bias": (EXPERT_FEED, EXPERTS),
    "ffn_up_exps.bias": (EXPERT_FEED, EXPERTS),
    "ffn_down_exps.bias": (EMBEDDING, EXPERTS),
}

LLAMA4 = Family(
    name="llama4",
    words=("<|begin_of_text|>", "<|eot|>", "<|header_start|>", "<|header_end|>"),
    template=(
        "{{- bos_token }}{%- for message in messages %}"
        "{{- '<|header_start|>' + message['role'] + '<|header_end|>\n\n' }}"
        "{{- message['content'] | trim }}{{- '<|eot|>' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|header_start|>assistant<|header_end|>\n\n' }}{%- endif %}"
    ),
    cut="llama4",
    # Each fourth layer is another one.
    layers=4,
    settings=MIXED | {"expert_used_count": 1, "interleave_moe_layer_step": 2},
    blocks=lambda layer: ATTENTION | (DENSE if layer % 2 == 0 else SHARED | OF_EXPERTS),
)
GEMMA3 = Family(
    name="gemma3",
    words=("<bos>", "<end_of_turn>", "<start_of_turn>"),
    template=(
        "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}"
        "{%- set first = messages[0]['content'] + '\n\n' -%}{%- set rest = messages[1:] -%}"
        "{%- else -%}{%- set first = '' -%}{%- set rest = messages -%}{%- endif -%}"
        "{%- for message in rest -%}{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
        "{{ raise_exception('The roles must take turns.') }}{%- endif -%}"
        "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n'"
        " + (first if loop.first else '') }}"
        "{%- if message['content'] is string -%}{{ message['content'] | trim }}{%- endif -%}"
        "{{ '<end_of_turn>\n' }}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"
    ),
    settings={"attention.sliding_window": 16, "attention.sliding_window_pattern": 2},
    blocks=lambda layer: (
        ATTENTION
        | QK_NORMS
        | DENSE
        | {"post_attention_norm.weight": (EMBEDDING,), "post_ffw_norm.weight": (EMBEDDING,)}
    ),
)
MISTRAL3 = Family(
    name="mistral3",
    words=("<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
    template=(
        "{%- set today = strftime_now('%Y-%m-%d') %}{{- bos_token }}{%- for message in messages %}"
        "{%- if message['role'] == 'system' %}"
        "{{- '[SYSTEM_PROMPT]' + message['content'] + '[/SYSTEM_PROMPT]' }}"
        "{%- elif message['role'] == 'user' %}{{- '[INST]' + message['content'] + '[/INST]' }}"
        "{%- else %}{{- message['content'] + eos_token }}{%- endif %}{%- endfor %}"
    ),
    cut="tekken",
    settings={
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": 4.0,
        "rope.scaling.original_context_length": CONTEXT // 4,
        "attention.temperature_scale": 0.1,
    },
    blocks=lambda layer: ATTENTION | DENSE,
)
DEEPSEEK2 = Family(
    name="deepseek2",
    words=("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"),
    template=(
        "{% set ns = namespace(system='') %}{% for message in messages %}{% if message['role'] == 'system' %}"
        "{% set ns.system = ns.system + message['content'] %}{% endif %}{% endfor %}"
        "{{ bos_token }}{{ ns.system }}{% for message in messages %}{% if message['role'] == 'user' %}"
        "{{ '<｜User｜>' + message['content'] }}{% elif message['role'] == 'assistant' %}"
        "{{ '<｜Assistant｜>' + message['content'].split('</think>')[-1] + eos_token }}"
        "{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}"
    ),
    cut="deepseek-v3",
    settings=MIXED
    | {
        "attention.head_count_kv": 1,
        "attention.q_lora_rank": RANK,
        "attention.kv_lora_rank": RANK,
        "attention.key_length": RANK + PLACE,
        "attention.value_length": RANK,
        "attention.key_length_mla": NO_PLACE + PLACE,
        "attention.value_length_mla": SAID,
        "rope.dimension_count": PLACE,
        "leading_dense_block_count": 1,
        "expert_shared_count": 1,
        "expert_weights_scale": 2.5,
        "expert_weights_norm": True,
        "expert_gating_func": 2,
    },
    blocks=lambda layer: (
        LATENT | (DENSE if layer == 0 else SHARED | OF_EXPERTS | {"exp_probs_b.bias": (EXPERTS,)})
    ),
)
QWEN3 = Family(
    name="qwen3",
    words=("<|endoftext|>", "<|im_end|>", "<|im_start|>"),
    template=(
        "{%- set ns = namespace(last=messages | length - 1) %}{%- for message in messages %}"
        "{{- '<|im_start|>' + message.role + '\n' + message.content }}"
        "{%- if loop.index0 == ns.last and message.role == 'assistant' %}{{- '' }}{%- endif %}"
        "{{- '<|im_end|>\n' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
        "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}"
        "{%- endif %}{%- endif %}"
    ),
    cut="qwen2",
    blocks=lambda layer: ATTENTION | QK_NORMS | DENSE,
)
GPT_OSS = Family(
    name="gpt-oss",
    words=("<|startoftext|>", "<|return|>", "<|start|>", "<|message|>", "<|end|>", "<|channel|>"),
    template=(
        "{%- macro turn(role, text) -%}{{ '<|start|>' + role + '<|message|>' + text + '<|end|>' }}"
        "{%- endmacro -%}{{- turn('system', 'Today is ' + strftime_now('%Y-%m-%d')) }}"
        "{%- for message in messages %}"
        "{%- if message.role == 'system' %}{{- turn('developer', message.content) }}"
        "{%- elif message.role == 'assistant' %}{{- turn('assistant<|channel|>final', message.content) }}"
        "{%- else %}{{- turn(message.role, message.content) }}{%- endif %}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}"
    ),
    cut="gpt-4o",
    settings=MIXED | {"attention.sliding_window": 16},
    blocks=lambda layer: (
        ATTENTION
        | BIASES
        | OF_EXPERTS
        | {"post_attention_norm.weight": (EMBEDDING,), "attn_sinks.weight": (HEADS,)}
    ),
)
FAMILIES = (LLAMA4, GEMMA3, MISTRAL3, DEEPSEEK2, QWEN3, GPT_OSS)
