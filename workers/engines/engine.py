"""A client of our own engine process, by socket or URL."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from workers.engines import ChatEvent, EngineFacts
from workers.engines.wire import Account, Streams, call, client

# It says that it is alive every 5 seconds.
SILENCE_SECONDS = 30.0
EMBED_TEXTS = 256


class OpenAIEngine:
    """Implements `Engine` for an address `unix:/path`, `http://host:port` or `https://...`.

    One engine may be used by many threads. Raises EngineUnavailable when the server does not answer.
    """

    def __init__(self, url: str) -> None:
        self._client = client(url)
        self._streams = Streams(url)

    def close(self) -> None:
        self._streams.close()
        self._client.close()

    def facts(self) -> EngineFacts:
        props = call(self._client, "GET", "/props")
        return EngineFacts(
            model=props["model"],
            model_sha256=props["model_sha256"],
            context=props["n_ctx"],
            embedder=props["embedder"],
            embedder_sha256=props["embedder_sha256"],
            dimension=props["dimension"],
            max_tokens=props["max_tokens"],
            build=props["build"],
            reranker=props["reranker"],
            reranker_sha256=props["reranker_sha256"],
            rerank_ms=props["rerank_ms"],
            template_sha256=props["template_sha256"],
        )

    def tokenize(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        return [int(n) for n in call(self._client, "POST", "/tokenize", {"texts": list(texts)})["counts"]]

    def prompt_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        return int(call(self._client, "POST", "/tokenize", {"messages": plain(messages)})["count"])

    def embed(self, texts: Sequence[str], embedder: str = "") -> list[list[float]]:
        vectors: list[list[float]] = []
        chosen = {"model": embedder} if embedder else {}
        for start in range(0, len(texts), EMBED_TEXTS):
            wanted = {"input": list(texts[start : start + EMBED_TEXTS])} | chosen
            data = call(self._client, "POST", "/v1/embeddings", wanted)["data"]
            vectors += [item["embedding"] for item in sorted(data, key=lambda item: item["index"])]
        return vectors

    def rerank(self, question: str, passages: Sequence[str]) -> list[float]:
        """With the request that most servers of rerankers know."""
        if not passages:
            return []
        wanted = {"query": question, "documents": list(passages)}
        results = call(self._client, "POST", "/v1/rerank", wanted)["results"]
        scores = {int(result["index"]): float(result["relevance_score"]) for result in results}
        return [scores[at] for at in range(len(passages))]

    def speed_trial(self) -> tuple[float, float]:
        found = call(self._client, "POST", "/trial")
        return found["prompt_tokens_per_second"], found["output_tokens_per_second"]

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
        """As `Engine.chat`. Raises EngineUnavailable or PromptTooLong when the first event is asked for."""
        body: dict[str, Any] = {
            "model": "",
            "messages": plain(messages),
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if grammar:
            body["grammar"] = grammar
        headers = {"X-Tenant": tenant, "X-Conversation": conversation}
        lines = self._streams.lines("/v1/chat/completions", body, headers, SILENCE_SECONDS, stop)
        account = Account()
        with closing(lines):
            for line in lines:
                if event := account.read(line):
                    yield event
            yield account.finished(cancelled=stop is not None and stop.is_set())


def plain(messages: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    return [{"role": message["role"], "content": message["content"]} for message in messages]
