"""An engine whose language model another server on site has. Questions are embedded by our own."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from workers.engines import ChatEvent, Engine, EngineFacts, EngineUnavailable, Finished, PromptTooLong, Token
from workers.engines.servers import Generation, OpenAIServer, Wanted, recognise
from workers.engines.thinking import TAGS, Spoken
from workers.engines.wire import TOO_LONG, Account, Streams

# Words read and tokens written by a speed trial.
TRIAL_WORDS, TRIAL_TOKENS = 200, 48


class RemoteEngine:
    """Implements `Engine`. Nothing of tenant or conversation is sent to the other server.

    What kind of server it is, is found out when it is first asked. It may say nothing for `silence` seconds
    while it reads a long prompt. Raises EngineUnavailable where it does not answer, or cannot be used as it
    is; the message says what to do.
    """

    def __init__(self, wanted: Wanted, own: Engine, silence: float = 600.0) -> None:
        self._wanted, self._own, self._silence = wanted, own, silence
        self._streams = Streams(wanted.url, wanted.key)
        self._known: OpenAIServer | None = None

    def facts(self) -> EngineFacts:
        server = self._server()
        return replace(
            self._own.facts(),
            model=server.model(),
            model_sha256="",
            template_sha256="",
            context=server.context(),
            build=server.kind,
            exact_counts=server.exact,
        )

    def tokenize(self, texts: Sequence[str]) -> list[int]:
        return self._server().count(texts) if texts else []

    def prompt_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        return self._server().count_prompt(messages)

    def embed(self, texts: Sequence[str], embedder: str = "") -> list[list[float]]:
        return self._own.embed(texts, embedder)

    def rerank(self, question: str, passages: Sequence[str]) -> list[float]:
        return self._own.rerank(question, passages)

    def speed_trial(self) -> tuple[float, float]:
        """By an answer to words at random, of which the server cannot have read any before."""
        words = " ".join(secrets.token_hex(2) for _ in range(TRIAL_WORDS))
        asked = [{"role": "user", "content": f"Go on with this list of words: {words}"}]
        begun = time.monotonic()
        first = last = begun
        finished = None
        try:
            for event in self.chat(asked, max_tokens=TRIAL_TOKENS, tenant="", conversation=""):
                if isinstance(event, Token):
                    last = time.monotonic()
                    first = last if first == begun else first
                if isinstance(event, Finished):
                    finished = event
        except PromptTooLong as error:
            raise EngineUnavailable("The model reads too little at once to measure its speed.") from error
        if finished is None or finished.output_tokens < 2 or last == first:
            raise EngineUnavailable("The model's server wrote too little to measure its speed.")
        read = finished.prompt_tokens or self.prompt_tokens(asked)
        return read / (first - begun), (finished.output_tokens - 1) / (last - first)

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        tenant: str,
        conversation: str,
        temperature: float = 0.0,
        seed: int = 0,
        grammar: str = "",
        stop: threading.Event | None = None,
    ) -> Iterator[ChatEvent]:
        """As `Engine.chat`. A grammar counts where the server knows them; thoughts that it does not part from
        the answer itself are left out."""
        server = self._server()
        context = server.context()
        if server.count_prompt(messages) + max_tokens > context:
            raise PromptTooLong(TOO_LONG)
        asked = Generation(server.model(), context, messages, max_tokens, temperature, seed, grammar)
        lines = self._streams.lines(server.chat_path, server.request(asked), {}, self._silence, stop)
        account, spoken = Account(), Spoken(TAGS)
        with closing(lines):
            for line in lines:
                event = account.read(server.line(line))
                said = spoken.add(event.text) if isinstance(event, Token) else ""
                if said:
                    yield Token(said)
            if said := spoken.rest():
                yield Token(said)
            yield account.finished(cancelled=stop is not None and stop.is_set())

    def _server(self) -> OpenAIServer:
        if self._known is None:
            self._known = recognise(self._wanted)
        return self._known
