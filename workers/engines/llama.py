"""One GGUF model and its context in llama.cpp, as few calls as an engine needs.

`LanguageModel.tokenize`, `prompt` and `piece` only read the vocabulary and may be called from any
thread. Everything that evaluates belongs to the one thread that owns the context.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from workers.engines.errors import ModelUnusable

# One `llama_decode` takes at most this many tokens; the reader of prompts uses smaller pieces.
MAX_PIECE = 512
# What the plain API and llama.cpp's own server use; keeps sampling quick on vocabularies of 150,000.
TOP_K = 40


class EvaluationFailed(Exception):
    """llama.cpp refused to evaluate tokens; the context holds nothing usable any more."""


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]  # a ctypes function type
def _drop_log(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    """llama.cpp writes pages at every start; what went wrong reaches us as a missing result."""


class Sampler:
    """Chooses the next token from the logits of the last evaluation. Greedy at temperature 0."""

    def __init__(self, temperature: float, top_p: float, seed: int) -> None:
        parts = (
            [llama_cpp.llama_sampler_init_greedy()]
            if temperature == 0
            else [
                llama_cpp.llama_sampler_init_top_k(TOP_K),
                llama_cpp.llama_sampler_init_top_p(top_p, 1),
                llama_cpp.llama_sampler_init_temp(temperature),
                llama_cpp.llama_sampler_init_dist(seed),
            ]
        )
        self.chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        for part in parts:
            llama_cpp.llama_sampler_chain_add(self.chain, part)

    def close(self) -> None:
        llama_cpp.llama_sampler_free(self.chain)


class LanguageModel:
    """A loaded model with one context of `context` tokens, evaluated by `threads` threads.

    Raises ModelUnusable when the file is missing, cut short, no GGUF, or has no chat template.
    """

    def __init__(self, path: Path, context: int, threads: int) -> None:
        llama_cpp.llama_log_set(_drop_log, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.model = _open(path)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.context_tokens = min(context, llama_cpp.llama_model_n_ctx_train(self.model))
        self._formatter = self._chat_formatter()
        self._context = self._new_context(threads)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(MAX_PIECE, 0, 1)
        # The first evaluation brings the weights into memory: nobody should wait for that later.
        self.evaluate([0], 0)
        self.keep(0)

    def _new_context(self, threads: int) -> llama_cpp.llama_context_p:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = self.context_tokens
        params.n_batch = params.n_ubatch = MAX_PIECE
        params.n_threads = params.n_threads_batch = threads
        # As the plain API: without it, results on a CPU are the same bits whatever the piece size.
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        context: llama_cpp.llama_context_p | None = llama_cpp.llama_init_from_model(self.model, params)
        if not context:
            raise ModelUnusable(
                f"There is not enough memory for a context of {self.context_tokens} tokens. "
                "Choose a smaller --context or a smaller model."
            )
        return context

    def _chat_formatter(self) -> Jinja2ChatFormatter:
        template = llama_cpp.llama_model_chat_template(self.model, None)
        if not template:
            raise ModelUnusable(
                "The model file has no chat template: it is a base model. Choose an instruction-tuned one."
            )
        return Jinja2ChatFormatter(
            template=template.decode(),
            bos_token=self._token_text(llama_cpp.llama_vocab_bos(self.vocab)),
            eos_token=self._token_text(llama_cpp.llama_vocab_eos(self.vocab)),
        )

    def _token_text(self, token: int) -> str:
        return "" if token < 0 else llama_cpp.llama_vocab_get_text(self.vocab, token).decode()

    def tokenize(self, text: str, special: bool = False) -> list[int]:
        """Tokens of a text. Only with `special` do strings like `<|im_end|>` become control tokens."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 2
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self.vocab, data, len(data), tokens, room, False, special)
        if count < 0:
            raise ValueError("The text is too long to be split into tokens.")
        return list(tokens[:count])

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Tokens of a conversation after the model's chat template, ready for the answer.

        The template is rendered around markers and only its own text may contain control tokens:
        a document that quotes `<|im_end|>` cannot end its message. Raises ValueError when the
        template refuses the order of roles.
        """
        marked: list[Any] = [
            {"role": message["role"], "content": f"\ue000{n}\ue000"} for n, message in enumerate(messages)
        ]
        rendered = self._formatter(messages=marked).prompt
        tokens: list[int] = []
        for n, part in enumerate(rendered.split("\ue000")):
            # Every second part is a marker's number.
            tokens += self.tokenize(messages[int(part)]["content"]) if n % 2 else self.tokenize(part, True)
        return tokens

    def piece(self, token: int) -> bytes:
        """The bytes of a token, which may be part of a character; empty for control tokens."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, size, 0, False)
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def ends(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_eog(self.vocab, token))

    def keep(self, count: int) -> int:
        """Forget what was evaluated from position `count` on; returns how many tokens stay.

        Some architectures cannot forget a part: then everything goes.
        """
        if count and llama_cpp.llama_memory_seq_rm(self._memory, 0, count, -1):
            return count
        llama_cpp.llama_memory_clear(self._memory, True)
        return 0

    def evaluate(self, tokens: Sequence[int], position: int, last: bool = True) -> None:
        """Evaluate up to MAX_PIECE tokens at `position`; with `last` the next token can be sampled."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i] = token
            batch.pos[i] = position + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = False
        batch.logits[len(tokens) - 1] = last
        if llama_cpp.llama_decode(self._context, batch) != 0:
            raise EvaluationFailed("llama.cpp could not evaluate the next tokens.")
        # The work may still run on a device: wait, so that pieces are timed and cancelled honestly.
        llama_cpp.llama_synchronize(self._context)

    def sample(self, sampler: Sampler) -> int:
        return int(llama_cpp.llama_sampler_sample(sampler.chain, self._context, -1))


def _open(path: Path) -> llama_cpp.llama_model_p:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError:
        raise ModelUnusable("The model file is missing or cannot be read. Fetch it again.") from None
    if magic != b"GGUF":
        raise ModelUnusable("The model file is not a GGUF file. Fetch it again.")
    params = llama_cpp.llama_model_default_params()
    model: llama_cpp.llama_model_p | None = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ModelUnusable(
            "The model file is damaged or incomplete, or memory is too small for it. "
            "Fetch it again, or choose a smaller model."
        )
    return model
