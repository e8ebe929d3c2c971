"""How engines are spoken to: JSON over a socket or a URL, and streams that end wherever they are."""

from __future__ import annotations

import asyncio
import functools
import json
import queue
import ssl
import threading
import time
from collections.abc import Coroutine, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from workers.engines import ChatEvent, EngineUnavailable, Finished, PromptTooLong, Token, Waiting

CONNECT_SECONDS = 3.0
REPLY_SECONDS = 60.0
# How soon a set stop event is noticed.
STOP_SECONDS = 0.05
TOO_LONG = "The question and its sources do not fit into the model's context. Use fewer or shorter sources."


class Streams:
    """Streamed replies of the server at `url`. May be used by many threads."""

    def __init__(self, url: str, key: str = "") -> None:
        self._url, self._key = url, key
        self._background = _Background()

    def close(self) -> None:
        self._background.close()

    def lines(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        silence: float,
        stop: threading.Event | None,
    ) -> Generator[str, None, None]:
        """Lines up to the end of the stream or to `stop`; the server may say nothing for `silence` seconds.

        Raises EngineUnavailable or PromptTooLong. Closing the iterator ends the request wherever it is, and
        that ends the generation there.
        """
        lines: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
        request = self._background.start(self._read(path, body, headers, silence, lines))
        try:
            yield from _until(lines, stop)
        finally:
            request.cancel()

    async def _read(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        silence: float,
        lines: queue.SimpleQueue[str | BaseException | None],
    ) -> None:
        """Put the lines of the stream into the queue, then None, or what went wrong."""
        try:
            async with (
                httpx.AsyncClient(
                    transport=httpx.AsyncHTTPTransport(verify=_trusted(), uds=_socket_path(self._url)),
                    base_url=_base_url(self._url),
                    timeout=httpx.Timeout(CONNECT_SECONDS, read=silence),
                    headers=_authorised(self._key),
                    trust_env=False,
                ) as client,
                client.stream("POST", path, json=body, headers=headers) as response,
            ):
                if response.status_code != 200:
                    raise refusal(response.status_code, await response.aread())
                async for line in response.aiter_lines():
                    lines.put(line)
            lines.put(None)
        except (httpx.HTTPError, EngineUnavailable, PromptTooLong) as error:
            lines.put(error)


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
class Account:
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


def client(url: str, key: str = "") -> httpx.Client:
    # trust_env: a proxy from the environment must not see questions and sources.
    return httpx.Client(
        transport=httpx.HTTPTransport(verify=_trusted(), uds=_socket_path(url)),
        base_url=_base_url(url),
        timeout=httpx.Timeout(CONNECT_SECONDS, read=REPLY_SECONDS),
        headers=_authorised(key),
        trust_env=False,
    )


def _authorised(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def call(
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
        raise refusal(response.status_code, response.content)
    try:
        reply = response.json()
    except ValueError:
        reply = None
    if not isinstance(reply, dict):
        raise EngineUnavailable("The engine sent what no engine should send. See its log.")
    return reply


def refusal(status: int, content: bytes) -> EngineUnavailable | PromptTooLong:
    """The error that a refusing reply means. Servers name a prompt that is too long in their own ways."""
    said = content[:4096].decode("utf-8", "replace").lower()
    if status == 400 and ("context_length" in said or "context length" in said or "context_size" in said):
        return PromptTooLong(TOO_LONG)
    if status in (401, 403):
        return EngineUnavailable("The model's server refuses the key: see MUNIMENT_MODEL_KEY_FILE.")
    if status == 503:
        return EngineUnavailable("The engine is still loading its models. Try again in a minute.")
    if status == 429:
        return EngineUnavailable("Too many questions wait for the language model. Try again in a minute.")
    return EngineUnavailable(f"The engine refused the request with status {status}. See its log.")
