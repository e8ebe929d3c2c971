"""Which token comes next: from the logits of llama.cpp, by temperature, top-p, seed and a grammar."""

from __future__ import annotations

import ctypes
import re
import weakref

import llama_cpp
import numpy as np

# What the plain API and llama.cpp's own server use; keeps sampling quick on vocabularies of 150,000.
TOP_K = 40
# llama.cpp reads a grammar by recursion: one that is nested deeper could overflow the stack.
MAX_NESTING = 64
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class BadGrammar(ValueError):
    """llama.cpp cannot read the grammar, or it is nested too deeply."""


class NothingFits(Exception):
    """The grammar allows no token of the vocabulary here."""


class Sampler:
    """Chooses the next token of one answer. Greedy at temperature 0; a grammar in llama.cpp's GBNF
    with the rule `root` bounds what may come. Raises BadGrammar."""

    def __init__(
        self,
        vocab: llama_cpp.llama_vocab_p,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        grammar: str = "",
    ) -> None:
        self._grammar = _grammar(vocab, grammar) if grammar else None
        self._chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        for part in _parts(temperature, top_p, seed):
            llama_cpp.llama_sampler_chain_add(self._chain, part)
        for made in filter(None, (self._chain, self._grammar)):
            weakref.finalize(self, llama_cpp.llama_sampler_free, made)
        self._vocab_size = llama_cpp.llama_vocab_n_tokens(vocab)

    def sample(self, context: llama_cpp.llama_context_p, row: int) -> int:
        """The next token by the logits of `row` of the last batch. Raises NothingFits."""
        token = int(llama_cpp.llama_sampler_sample(self._chain, context, row))
        if self._grammar is None:
            return token
        # Mostly the model follows the grammar by itself, and one candidate is quickly checked.
        if not self._allows(token):
            token = self._sample_allowed(context, row)
        llama_cpp.llama_sampler_accept(self._grammar, token)
        return token

    def _allows(self, token: int) -> bool:
        candidate = np.zeros(1, _CANDIDATE)
        candidate["id"] = token
        llama_cpp.llama_sampler_apply(self._grammar, ctypes.byref(_array(candidate)))
        return bool(np.isfinite(candidate["logit"][0]))

    def _sample_allowed(self, context: llama_cpp.llama_context_p, row: int) -> int:
        logits = llama_cpp.llama_get_logits_ith(context, row)
        candidates = np.zeros(self._vocab_size, _CANDIDATE)
        candidates["id"] = np.arange(self._vocab_size)
        candidates["logit"] = np.ctypeslib.as_array(logits, shape=(self._vocab_size,))
        llama_cpp.llama_sampler_apply(self._grammar, ctypes.byref(_array(candidates)))
        candidates = candidates[np.isfinite(candidates["logit"])]
        if not len(candidates):
            # Accepting a token against the grammar would end the process.
            raise NothingFits("The grammar allows no token here.")
        array = _array(candidates)
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected].id)


def _array(candidates: np.ndarray) -> llama_cpp.llama_token_data_array:
    data = candidates.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))
    return llama_cpp.llama_token_data_array(data, len(candidates), -1, False)


def _parts(temperature: float, top_p: float, seed: int) -> list[llama_cpp.llama_sampler_p]:
    if temperature == 0:
        return [llama_cpp.llama_sampler_init_greedy()]
    return [
        llama_cpp.llama_sampler_init_top_k(TOP_K),
        llama_cpp.llama_sampler_init_top_p(top_p, 1),
        llama_cpp.llama_sampler_init_temp(temperature),
        llama_cpp.llama_sampler_init_dist(seed),
    ]


def _grammar(vocab: llama_cpp.llama_vocab_p, text: str) -> llama_cpp.llama_sampler_p:
    if _nesting(text) > MAX_NESTING:
        raise BadGrammar(f"The grammar is nested deeper than {MAX_NESTING} levels.")
    made: llama_cpp.llama_sampler_p | None = llama_cpp.llama_sampler_init_grammar(
        vocab, text.encode(), b"root"
    )
    if not made:
        raise BadGrammar("The grammar cannot be read.")
    return made


def _nesting(grammar: str) -> int:
    """How deep its groups are nested: brackets outside of literals, classes and comments."""
    bare = re.sub(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*', "", grammar)
    depth = deepest = 0
    for character in bare:
        depth = max(0, depth + (character == "(") - (character == ")"))
        deepest = max(deepest, depth)
    return deepest
