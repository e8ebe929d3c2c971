"""A client of an engine: our own engine process, or any server of OpenAI's API, by socket or URL."""

from __future__ import annotations

import asyncio
import functools
import json
import math
import queue
import ssl
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from workers.engines import (
    ChatEvent,
    EngineFacts,
    EngineUnavailable,
    Finished,
    PromptTooLong,
    Token,
    Waiting,
)

CONNECT_SECONDS = 3.0
REPLY_SECONDS = 60.0
# Our own engine says that it is alive every 5 seconds; others may read a long prompt in silence.
OWN_SILENCE_SECONDS, FOREIGN_SILENCE_SECONDS = 30.0, 600.0
# How soon a set stop event is noticed.
STOP_SECONDS = 0.05
EMBED_TEXTS = 256
TOO_LONG = "The question and its sources do not fit into the model's context. Use fewer or shorter sources."


class OpenAIEngine:
    """Implements `Engine` for an address `unix:/path`, `http://host:port` or `https://...`.

    Questions are embedded at `embedder_url` when the model's server is another one. A server that is
    not ours may not count tokens: then `tokenize` and `prompt_tokens` estimate, rather too many, and
    `exact_counts` is False; its `facts` name the first model of `/v1/models` without a hash, and a
    context of 0 where the server does not tell. Nothing of tenant or conversation is sent to such a server.

    One engine may be used by many threads. Raises EngineUnavailable when the server does not answer.
    """

    def __init__(self, url: str, embedder_url: str | None = None) -> None:
        self._url = url
        self._client = _client(url)
        self._embedder = _client(embedder_url) if embedder_url else self._client
        self._known_props: dict[str, Any] | None = None
        self._background = _Background()

    def close(self) -> None:
        self._background.close()
        self._client.close()
        self._embedder.close()

    @property
    def exact_counts(self) -> bool:
        """Whether tokens are counted by the model's own tokenizer."""
        return bool(self._props())

    def facts(self) -> EngineFacts:
        props = self._fresh_props()
        embedder = props if self._embedder is self._client else _call(self._embedder, "GET", "/props")
        return EngineFacts(
            model=props["model"] if props else self._first_model(),
            model_sha256=props.get("model_sha256", ""),
            context=props["n_ctx"] if props else self._first_model_context(),
            embedder=embedder.get("embedder", ""),
            embedder_sha256=embedder.get("embedder_sha256", ""),
            dimension=embedder.get("dimension", 0),
            max_tokens=embedder.get("max_tokens", 0),
            build=props.get("build", ""),
            reranker=embedder.get("reranker", ""),
            reranker_sha256=embedder.get("reranker_sha256", ""),
            rerank_ms=embedder.get("rerank_ms", 0.0),
            template_sha256=props.get("template_sha256", ""),
        )

    def tokenize(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        if not self.exact_counts:
            return [_estimate(text) for text in texts]
        return [int(n) for n in _call(self._client, "POST", "/tokenize", {"texts": list(texts)})["counts"]]

    def prompt_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        if not self.exact_counts:
            # Eight tokens around each message are more than the templates of the common models add.
            return 16 + sum(_estimate(message["content"]) + 8 for message in messages)
        return int(_call(self._client, "POST", "/tokenize", {"messages": _plain(messages)})["count"])

    def embed(self, texts: Sequence[str], embedder: str = "") -> list[list[float]]:
        vectors: list[list[float]] = []
        chosen = {"model": embedder} if embedder else {}
        for start in range(0, len(texts), EMBED_TEXTS):
            wanted = {"input": list(texts[start : start + EMBED_TEXTS])} | chosen
            data = _call(self._embedder, "POST", "/v1/embeddings", wanted)["data"]
            vectors += [item["embedding"] for item in sorted(data, key=lambda item: item["index"])]
        return vectors

    def rerank(self, question: str, passages: Sequence[str]) -> list[float]:
        """By the server that embeds questions, with the request that most servers of rerankers know."""
        if not passages:
            return []
        wanted = {"query": question, "documents": list(passages)}
        results = _call(self._embedder, "POST", "/v1/rerank", wanted)["results"]
        scores = {int(result["index"]): float(result["relevance_score"]) for result in results}
        return [scores[at] for at in range(len(passages))]

    def speed_trial(self) -> tuple[float, float]:
        """Tokens a second read and written by our own engine, measured in about ten seconds."""
        found = _call(self._client, "POST", "/trial")
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
        own = bool(self._props())
        body = {
            "model": "" if own else self._first_model(),
            "messages": _plain(messages),
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if own and grammar:
            body["grammar"] = grammar
        headers = {"X-Tenant": tenant, "X-Conversation": conversation} if own else {}
        silence = OWN_SILENCE_SECONDS if own else FOREIGN_SILENCE_SECONDS
        lines: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
        request = self._background.start(_stream_lines(self._url, body, headers, silence, lines))
        account = _Account()
        try:
            for line in _until(lines, stop):
                if event := account.read(line):
                    yield event
            yield account.finished(cancelled=stop is not None and stop.is_set())
        finally:
            # Closes the connection wherever the request is, and that ends the generation there.
            request.cancel()

    def _props(self) -> dict[str, Any]:
        """The facts of our own engine, asked once; empty for another server."""
        return self._known_props if self._known_props is not None else self._fresh_props()

    def _fresh_props(self) -> dict[str, Any]:
        props = _call(self._client, "GET", "/props", missing={})
        self._known_props = props if props.get("server") == "muniment" else {}
        return self._known_props

    def _first_model(self) -> str:
        return str(self._listed_model().get("id", ""))

    def _first_model_context(self) -> int:
        """The field is vLLM's."""
        return int(self._listed_model().get("max_model_len") or 0)

    def _listed_model(self) -> dict[str, Any]:
        data = _call(self._client, "GET", "/v1/models", missing={}).get("data") or [{}]
        return dict(data[0])


class _Background:
    """An event loop in a thread: there a request can be cancelled at any moment, also while it waits
    for a connection or for the first byte."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Future[None] | Any:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="engine-client", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        if self._loop:
            self._loop.call_soon_threadsafe(self._loop.stop)


async def _stream_lines(
    url: str,
    body: dict[str, Any],
    headers: dict[str, str],
    silence: float,
    lines: queue.SimpleQueue[str | BaseException | None],
) -> None:
    """Put the lines of the stream into the queue, then None, or what went wrong."""
    timeout = httpx.Timeout(CONNECT_SECONDS, read=silence)
    try:
        async with (
            httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(verify=_trusted(), uds=_socket_path(url)),
                base_url=_base_url(url),
                timeout=timeout,
                trust_env=False,
            ) as client,
            client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as response,
        ):
            if response.status_code != 200:
                raise _refusal(response.status_code, await response.aread())
            async for line in response.aiter_lines():
                lines.put(line)
        lines.put(None)
    except (httpx.HTTPError, EngineUnavailable, PromptTooLong) as error:
        lines.put(error)


def _until(
    lines: queue.SimpleQueue[str | BaseException | None], stop: threading.Event | None
) -> Iterator[str]:
    """Lines of the stream up to its end or to `stop`. Raises EngineUnavailable or PromptTooLong."""
    while stop is None or not stop.is_set():
        try:
            line = lines.get(timeout=STOP_SECONDS if stop else None)
        except queue.Empty:
            continue
        if isinstance(line, httpx.HTTPError):
            raise EngineUnavailable("The engine does not answer. See whether it is running.") from line
        if isinstance(line, BaseException):
            raise line
        if line is None or line == "data: [DONE]":
            return
        yield line


@dataclass
class _Account:
    """Reads the lines of one stream and keeps what `Finished` says. Where the server gives no
    timings, or was stopped, they are what was seen from here."""

    started: float = field(default_factory=time.monotonic)
    reading_since: float | None = None
    first_token: float | None = None
    reason: str = ""
    prompt_tokens: int = 0
    output_tokens: int = 0
    timings: dict[str, float] = field(default_factory=dict)

    def read(self, line: str) -> ChatEvent | None:
        match line.split():
            case [":", "queue", others]:
                return Waiting(int(others))
            case [":", "prompt", tokens, *_]:
                self.reading_since, self.prompt_tokens = time.monotonic(), int(tokens)
        return self._read_data(line[5:]) if line.startswith("data:") else None

    def _read_data(self, data: str) -> Token | None:
        try:
            chunk = json.loads(data)
            if "error" in chunk:
                raise EngineUnavailable("The engine failed while it answered. Ask again.")
            if usage := chunk.get("usage"):
                self.prompt_tokens, self.output_tokens = usage["prompt_tokens"], usage["completion_tokens"]
            self.timings = chunk.get("timings") or self.timings
            choice = (chunk.get("choices") or [{}])[0]
            self.reason = choice.get("finish_reason") or self.reason
            text = (choice.get("delta") or {}).get("content") or ""
        except (ValueError, KeyError, TypeError, AttributeError):
            raise EngineUnavailable("The engine sent what no engine should send. See its log.") from None
        if not text:
            return None
        self.first_token = self.first_token or time.monotonic()
        self.output_tokens += 0 if usage else 1
        return Token(text)

    def finished(self, cancelled: bool) -> Finished:
        if not cancelled and not self.reason:
            raise EngineUnavailable("The engine stopped in the middle of the answer. Ask again.")
        now = time.monotonic()
        reading = self.reading_since or self.started
        writing = self.first_token or now
        return Finished(
            reason="cancelled" if cancelled and not self.reason else self.reason,
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.output_tokens,
            queued_s=self._seconds("queued_ms", reading - self.started),
            prompt_s=self._seconds("prompt_ms", writing - reading),
            output_s=self._seconds("predicted_ms", now - writing),
        )

    def _seconds(self, name: str, seen: float) -> float:
        return self.timings[name] / 1000 if name in self.timings else max(seen, 0.0)


def _socket_path(url: str) -> str | None:
    return url.removeprefix("unix:") if url.startswith("unix:") else None


def _base_url(url: str) -> str:
    return "http://engine" if url.startswith("unix:") else url.rstrip("/").removesuffix("/v1")


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Made once: reading the certificates for every request would cost as long as a search."""
    return ssl.create_default_context()


def _client(url: str) -> httpx.Client:
    # trust_env: a proxy from the environment must not see questions and sources.
    return httpx.Client(
        transport=httpx.HTTPTransport(verify=_trusted(), uds=_socket_path(url)),
        base_url=_base_url(url),
        timeout=httpx.Timeout(CONNECT_SECONDS, read=REPLY_SECONDS),
        trust_env=False,
    )


def _call(
    client: httpx.Client, method: str, path: str, body: object = None, missing: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A JSON reply; `missing` instead of it where the server has no such route."""
    try:
        response = client.request(method, path, json=body)
    except httpx.HTTPError as error:
        raise EngineUnavailable("The engine does not answer. See whether it is running.") from error
    if missing is not None and response.status_code in (404, 405, 501):
        return missing
    if response.status_code != 200:
        raise _refusal(response.status_code, response.content)
    try:
        reply = response.json()
    except ValueError:
        reply = None
    if not isinstance(reply, dict):
        raise EngineUnavailable("The engine sent what no engine should send. See its log.")
    return reply


def _refusal(status: int, content: bytes) -> EngineUnavailable | PromptTooLong:
    """The error that a refusing reply means. Servers name a prompt that is too long in their own ways."""
    said = content[:4096].decode("utf-8", "replace").lower()
    if status == 400 and ("context_length" in said or "context length" in said or "context_size" in said):
        return PromptTooLong(TOO_LONG)
    if status == 503:
        return EngineUnavailable("The engine is still loading its models. Try again in a minute.")
    if status == 429:
        return EngineUnavailable("Too many questions wait for the language model. Try again in a minute.")
    return EngineUnavailable(f"The engine refused the request with status {status}. See its log.")


def _plain(messages: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def _estimate(text: str) -> int:
    """Tokens of a text without its tokenizer, rather too many: one for three Latin letters, one for
    each digit and sign, two for each character of other scripts, at least one a word."""
    letters = sum(c.isascii() and (c.isalpha() or c.isspace()) for c in text)
    signs = sum(c.isascii() for c in text) - letters
    others = len(text) - letters - signs
    return max(math.ceil(letters / 3) + signs + 2 * others, len(text.split())) + 1
