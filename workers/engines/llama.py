"""One GGUF model and its context in llama.cpp, as few calls as an engine needs.

`LanguageModel.tokenize`, `prompt` and `piece` only read the vocabulary and may be called from any
thread, and so may `abort`. Everything that evaluates belongs to the one thread that owns the context.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import llama_cpp

from workers.engines.chat_template import ChatTemplate, TemplateFailed
from workers.engines.errors import EvaluationAborted, EvaluationFailed, ModelUnusable, NotAModel
from workers.engines.gguf_header import Header
from workers.engines.gguf_parts import read_model
from workers.engines.sequences import Part
from workers.engines.thinking import end_of_prompt, marks_of

# One `llama_decode` takes at most this many tokens.
MAX_BATCH = 512
KV_TYPES = {
    "f16": llama_cpp.GGML_TYPE_F16,
    "q8_0": llama_cpp.GGML_TYPE_Q8_0,
    "q4_0": llama_cpp.GGML_TYPE_Q4_0,
}
ABORTED = 2


@dataclass(frozen=True)
class ContextOptions:
    """One sequence has at most `tokens`, all of the `sequences` together `cells` (as many, if that is 0).
    Quantised `kv_type`s want flash attention. `threads` compute."""

    tokens: int
    threads: int
    cells: int = 0
    sequences: int = 16
    flash_attention: bool = False
    kv_type: str = "f16"


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]  # a ctypes function type
def _drop_log(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    """llama.cpp writes pages at every start; what went wrong reaches us as a missing result."""


class LanguageModel:
    """A loaded model with one context.

    Raises ModelUnusable when the file is missing or its header is not admissible, and when its chat template
    cannot be used. `template_sha256` is that of the template's text, `thoughts` the marks around what it
    writes for itself.
    """

    def __init__(self, path: Path, options: ContextOptions) -> None:
        llama_cpp.llama_log_set(_drop_log, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        header = _header(path)
        self.template_sha256 = header.template_sha256
        self.model = _open(path)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.context_tokens = min(options.tokens, llama_cpp.llama_model_n_ctx_train(self.model))
        self._template = self._chat_template(header.template)
        self.thoughts = marks_of(header.template)
        self._guarded = self._guard(header.template)
        # A C string: empty, or not when the batch in work shall end.
        self._abort = ctypes.create_string_buffer(2)
        self.context = self._new_context(options)
        self.cells, self.sequences = llama_cpp.llama_n_ctx(self.context), options.sequences
        # The state of a recurrent model stands for all of its tokens, never for the first ones of them.
        self.shares_prefixes = not (
            llama_cpp.llama_model_is_recurrent(self.model) or llama_cpp.llama_model_is_hybrid(self.model)
        )
        self._memory = llama_cpp.llama_get_memory(self.context)
        self._batch = llama_cpp.llama_batch_init(MAX_BATCH, 0, 1)
        # The first evaluation brings the weights into memory: nobody should wait for that later.
        self.evaluate([Part(0, 0, [0], False)])
        self.forget(0)

    def _new_context(self, options: ContextOptions) -> llama_cpp.llama_context_p:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = cells = max(options.cells, self.context_tokens)
        params.n_batch = params.n_ubatch = MAX_BATCH
        params.n_threads = params.n_threads_batch = options.threads
        params.n_seq_max = options.sequences
        params.kv_unified = True
        # One token of each answer is sampled, not one after every token of a prompt: room for the logits
        # of a whole batch would be 300 MB.
        params.n_outputs_max = options.sequences
        params.type_k = params.type_v = KV_TYPES[options.kv_type]
        # Without it, results on a CPU are the same bits whatever the piece size.
        params.flash_attn_type = (
            llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
            if options.flash_attention
            else llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        # llama.cpp asks this function after each step of its graph. One of Python's would wait for the
        # interpreter's lock a thousand times a token; strlen says just as well whether the flag is set.
        params.abort_callback = ctypes.cast(ctypes.CDLL(None).strlen, llama_cpp.ggml_abort_callback)
        params.abort_callback_data = ctypes.cast(self._abort, ctypes.c_void_p)
        context: llama_cpp.llama_context_p | None = llama_cpp.llama_init_from_model(self.model, params)
        if not context:
            raise ModelUnusable(
                f"There is not enough memory for a context of {cells} tokens. "
                "Choose a smaller MUNIMENT_CONTEXT or MUNIMENT_CONTEXT_TOGETHER, or a smaller model."
            )
        return context

    def _chat_template(self, text: str) -> ChatTemplate:
        template = ChatTemplate(
            text,
            begins=self._token_text(llama_cpp.llama_vocab_bos(self.vocab)),
            ends=self._token_text(llama_cpp.llama_vocab_eos(self.vocab)),
        )
        try:
            template.require_usable()
        except TemplateFailed as error:
            raise ModelUnusable(str(error)) from None
        return template

    def _guard(self, template: str) -> re.Pattern[str] | None:
        """Matches the words of the template that llama.cpp makes a token of wherever they stand."""
        count = llama_cpp.llama_vocab_n_tokens(self.vocab)
        everywhere = (
            self._token_text(token)
            for token in range(count)
            if llama_cpp.llama_vocab_get_attr(self.vocab, token) & llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
        )
        words = {word for word in everywhere if len(word) > 1 and not word.isspace() and word in template}
        return re.compile("|".join(sorted(map(re.escape, words), key=len, reverse=True))) if words else None

    def _token_text(self, token: int) -> str:
        return "" if token < 0 else llama_cpp.llama_vocab_get_text(self.vocab, token).decode(errors="replace")

    def tokenize(self, text: str, special: bool = False) -> list[int]:
        """Tokens of a text. Only with `special` do strings like `<|im_end|>` become control tokens.

        Some families' marks of a turn are no control tokens for llama.cpp: in a text they are taken apart.
        """
        if special or not self._guarded:
            return self._tokenize(text, special)
        tokens, at = list[int](), 0
        for found in self._guarded.finditer(text):
            # The word's first sign still belongs to what is before it, and the rest is no mark any more.
            tokens += self._tokenize(text[at : found.start() + 1], False)
            at = found.start() + 1
        return tokens + self._tokenize(text[at:], False)

    def _tokenize(self, text: str, special: bool) -> list[int]:
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
        a document that quotes `<|im_end|>` cannot end its message. Raises TemplateFailed when the
        template refuses the order of roles. A model that thinks is told that it has.
        """
        tokens: list[int] = []
        parts = self._template.render([message["role"] for message in messages])
        if self.thoughts:
            last = parts.pop() if parts and isinstance(parts[-1], str) else ""
            parts.append(f"{last}{end_of_prompt(self.thoughts, str(last))}")
        for part in parts:
            if isinstance(part, int):
                tokens += self.tokenize(messages[part]["content"])
            else:
                tokens += self.tokenize(part, True)
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

    def copy(self, source: int, target: int, count: int) -> None:
        """Let an empty sequence begin with the first `count` tokens of another, in the same cells."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, count)

    def forget(self, sequence: int) -> None:
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def evaluate(self, parts: Sequence[Part]) -> list[int]:
        """Evaluate up to MAX_BATCH tokens; gives the row of each part's last token, for `Sampler.sample`.

        Raises EvaluationFailed or EvaluationAborted.
        """
        batch, rows, row = self._batch, [], 0
        for part in parts:
            for offset, token in enumerate(part.tokens):
                batch.token[row] = token
                batch.pos[row] = part.position + offset
                batch.n_seq_id[row] = 1
                batch.seq_id[row][0] = part.sequence
                batch.logits[row] = False
                row += 1
            batch.logits[row - 1] = part.sampled
            rows.append(row - 1)
        batch.n_tokens = row
        self._abort.value = b""
        result = llama_cpp.llama_decode(self.context, batch)
        if result == ABORTED:
            raise EvaluationAborted
        if result != 0:
            raise EvaluationFailed("llama.cpp could not evaluate the next tokens.")
        # The work may still run on a device: wait, so that pieces are timed and cancelled honestly.
        llama_cpp.llama_synchronize(self.context)
        return rows

    def abort(self) -> None:
        """End the batch in work, if there is one; on a device it runs to its end all the same."""
        self._abort.value = b"1"


def _header(path: Path) -> Header:
    """Read before llama.cpp opens the file. Raises ModelUnusable."""
    try:
        return read_model(path)
    except OSError:
        raise ModelUnusable("The model file is missing or cannot be read. Fetch it again.") from None
    except NotAModel as error:
        raise ModelUnusable(str(error)) from None


def _open(path: Path) -> llama_cpp.llama_model_p:
    params = llama_cpp.llama_model_default_params()
    model: llama_cpp.llama_model_p | None = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ModelUnusable(
            "The model file is damaged, of a family that is not known here, or memory is too small for it. "
            "Fetch it again, or choose another model."
        )
    return model
