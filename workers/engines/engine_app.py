"""The routes of the engine process: OpenAI's API over one language model and its embedders.

Our own clients name an opaque tenant in the header `X-Tenant`; without it nothing of a prompt is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from workers.engines.answers import Answer, AnswerStream, ClientGone, accounts, completion
from workers.engines.errors import ModelUnusable
from workers.engines.generator import Generator
from workers.engines.parameters import BadParameter, ChatParameters, chat_messages, chat_parameters, texts
from workers.engines.queueing import Done, QueueFull, Task

if TYPE_CHECKING:
    from workers.engines.embed import QuestionEmbedder
    from workers.engines.llama import LanguageModel
    from workers.engines.rerank import Reranker

# Beside the answers that run, so many sequences are kept to be reused.
IDLE_SEQUENCES = 12
# Nobody reads this status; it is nginx's for a client that went away.
CLIENT_CLOSED = 499
# Sources wait for about fifty sentences of them; more than two threads gain little on so short a work.
EMBEDDER_THREADS = 2
MAX_BODY = 8 * 2**20
MAX_TEXTS, MAX_TEXT = 256, 200_000
# A pair costs some hundred times what an embedded sentence does.
MAX_RERANKED = 64
TRIAL_TEXT = "The ward keeps a record of every dose, and the nurse on duty signs it before the night begins. "
TRIAL_PROMPT, TRIAL_ANSWER = 512, 64
TRIAL_READ_SECONDS, TRIAL_WRITE_SECONDS = 6.0, 4.0


class Refused(Exception):
    """A request that cannot be served now; becomes OpenAI's error shape."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Parts:
    """What the process has loaded: the embedder always, the language model unless there is none."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.model: LanguageModel | None = None
        self.generator: Generator | None = None
        self.embedder: QuestionEmbedder | None = None
        self.others: dict[str, QuestionEmbedder] = {}
        self.reranker: Reranker | None = None
        self.ready = False
        # A thread of its own: a question's embedding never waits behind an answer.
        self.embedding_thread = ThreadPoolExecutor(1, thread_name_prefix="embedder")
        self.reranking_thread = ThreadPoolExecutor(1, thread_name_prefix="reranker")

    def load(self) -> None:
        """Takes seconds. Raises ModelUnusable."""
        # The imports alone take seconds, and the socket answers /health meanwhile.
        if self.options.model:
            from workers.engines.llama import ContextOptions, LanguageModel

            options = ContextOptions(
                tokens=self.options.context,
                cells=self.options.cells,
                threads=self.options.threads or os.cpu_count() or 1,
                sequences=self.options.parallel + IDLE_SEQUENCES,
                flash_attention=self.options.flash_attention,
                kv_type=self.options.kv_type,
            )
            self.model = LanguageModel(self.options.model, options)
            self.generator = Generator(self.model, self.options.parallel)
            self.generator.start()
        from workers.engines.embed import QuestionEmbedder

        self.embedder = QuestionEmbedder(self.options.embedder, threads=EMBEDDER_THREADS)
        self.embedding_thread.submit(self.embedder.encode, ["warm up"]).result()
        if self.options.reranker:
            self.reranker = self.reranking_thread.submit(self._load_reranker).result()
        self.ready = True

    def _load_reranker(self) -> Reranker:
        """In the thread that will use it: its speed is measured there."""
        from workers.engines.rerank import Reranker

        return Reranker(self.options.reranker, threads=EMBEDDER_THREADS)

    def language_model(self) -> tuple[LanguageModel, Generator]:
        self.question_embedder()
        if self.model is None or self.generator is None:
            raise Refused(404, "This engine has no language model, only an embedder.", "model_not_found")
        return self.model, self.generator

    def question_embedder(self) -> QuestionEmbedder:
        if self.embedder is None or not self.ready:
            raise Refused(503, "The engine is still loading its models.", "loading")
        return self.embedder

    def cross_encoder(self) -> Reranker:
        self.question_embedder()
        if self.reranker is None:
            raise Refused(404, "This engine has no cross-encoder.", "model_not_found")
        return self.reranker

    def encode(self, wanted: Sequence[str], model: str) -> tuple[str, list[list[float]]]:
        """In the embedding thread: vectors, and the name of the embedder that made them.

        An embedder beside the first is loaded when first asked for. Raises ModelUnusable.
        """
        name, sha256, folder = self.embedder_called(model)
        embedder = self.question_embedder() if folder == self.options.embedder else self.others.get(sha256)
        if embedder is None:
            from workers.engines.embed import QuestionEmbedder

            embedder = self.others[sha256] = QuestionEmbedder(folder, threads=EMBEDDER_THREADS)
        return name, embedder.encode(wanted)

    def embedder_called(self, model: str) -> tuple[str, str, Path]:
        """Name, hash and folder of an embedder by its name or hash; "" is the first."""
        options = self.options
        first = (options.embedder_name, options.embedder_sha256, options.embedder)
        others = [(name, sha256, Path(folder)) for name, sha256, folder in options.also]
        for known in (first, *others):
            if model in ("", *known[:2]):
                return known
        raise Refused(404, "This engine has no such embedder.", "model_not_found")


Handler = Callable[[Parts, Request], Awaitable[Response]]


def served(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Give the handler the loaded parts, and its refusals OpenAI's error shape."""

    @functools.wraps(handler)
    async def serve(request: Request) -> Response:
        try:
            return await handler(request.app.state.parts, request)
        except BadParameter as error:
            return _error(400, str(error), error.code, error.param)
        except Refused as error:
            return _error(error.status, str(error), error.code)
        except QueueFull as error:
            return _error(429, str(error), "queue_full")
        except ClientGone:
            return Response(status_code=CLIENT_CLOSED)

    return serve


def _error(status: int, message: str, code: str, param: str | None = None) -> JSONResponse:
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": message, "type": kind, "param": param, "code": code}
    return JSONResponse({"error": error}, status)


async def _body(request: Request) -> Any:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            raise Refused(413, f"The request is larger than {MAX_BODY} bytes.", "request_too_large")
    try:
        return json.loads(data)
    except ValueError:
        raise BadParameter("The body must be JSON.", "body", "invalid_json") from None


@served
async def chat(parts: Parts, request: Request) -> Response:
    model, generator = parts.language_model()
    parameters = chat_parameters(await _body(request), model.context_tokens)
    prompt = await _prompt(model, parameters.messages)
    task = await asyncio.to_thread(_task, model, parameters, prompt, request.headers.get("x-tenant", ""))
    answer = Answer(generator, task)
    if parameters.stream:
        return AnswerStream(answer, parts.options.model_name)
    text, done = await answer.whole(request)
    _unless_failed(done)
    return JSONResponse(completion(parts.options.model_name, text, done))


def _unless_failed(done: Done) -> None:
    if done.reason == "failed":
        raise Refused(500, "The language model failed on this prompt.", "generation_failed")


async def _prompt(model: LanguageModel, messages: list[dict[str, str]]) -> list[int]:
    try:
        return await asyncio.to_thread(model.prompt, messages)
    except ValueError as error:
        raise BadParameter(str(error), "messages") from None


def _task(model: LanguageModel, parameters: ChatParameters, prompt: list[int], tenant: str) -> Task:
    from workers.engines.sampling import BadGrammar, Sampler

    room = model.context_tokens - len(prompt)
    wanted = parameters.max_tokens or max(room, 1)
    if wanted > room:
        raise BadParameter(
            f"The prompt has {len(prompt)} tokens and the answer may have {wanted}, "
            f"but the model's context is {model.context_tokens}.",
            "messages",
            "context_length_exceeded",
        )
    try:
        sampler = Sampler(
            model.vocab, parameters.temperature, parameters.top_p, parameters.seed, parameters.grammar
        )
    except BadGrammar as error:
        raise BadParameter(str(error), "grammar") from None
    return Task(prompt=prompt, max_tokens=wanted, sampler=sampler, tenant=tenant, stop=parameters.stop)


@served
async def trial(parts: Parts, request: Request) -> Response:
    """About ten seconds of work: how many tokens a second this machine reads and writes."""
    model, generator = parts.language_model()
    from workers.engines.sampling import Sampler

    length = min(TRIAL_PROMPT, model.context_tokens - TRIAL_ANSWER)
    task = Task(
        prompt=model.tokenize(TRIAL_TEXT * TRIAL_PROMPT)[:length],
        max_tokens=TRIAL_ANSWER,
        sampler=Sampler(model.vocab),
        alone=True,
        read_for=TRIAL_READ_SECONDS,
        write_for=TRIAL_WRITE_SECONDS,
    )
    _, done = await Answer(generator, task).whole(request)
    _unless_failed(done)
    return JSONResponse(
        {
            "prompt_tokens_per_second": round(done.prompt_n / done.prompt_ms * 1000, 2),
            "output_tokens_per_second": round(done.predicted_n / done.predicted_ms * 1000, 2),
        }
        | accounts(done)
    )


@served
async def embeddings(parts: Parts, request: Request) -> Response:
    parts.question_embedder()
    body = await _body(request)
    wanted = texts(body, "input", MAX_TEXTS, MAX_TEXT)
    model = body.get("model") or ""
    loop = asyncio.get_running_loop()
    try:
        name, vectors = await loop.run_in_executor(parts.embedding_thread, parts.encode, wanted, model)
    except ModelUnusable as error:
        raise Refused(500, str(error), "model_unusable") from None
    data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
    return JSONResponse({"object": "list", "model": name, "data": data})


@served
async def rerank(parts: Parts, request: Request) -> Response:
    """`{"query": "...", "documents": [...]}` gives `results`, best first: a request that vLLM has, too."""
    reranker = parts.cross_encoder()
    body = await _body(request)
    [question] = texts(body, "query", 1, MAX_TEXT)
    wanted = texts(body, "documents", MAX_RERANKED, MAX_TEXT)
    loop = asyncio.get_running_loop()
    scores = await loop.run_in_executor(parts.reranking_thread, reranker.scores, question, wanted)
    results = [{"index": at, "relevance_score": score} for at, score in enumerate(scores)]
    results.sort(key=lambda result: (-result["relevance_score"], result["index"]))
    return JSONResponse({"model": parts.options.reranker_name, "results": results})


@served
async def tokenize(parts: Parts, request: Request) -> Response:
    """`{"texts": [...]}` gives `counts`, `{"messages": [...]}` the whole prompt's `count`, and
    `{"content": "..."}`, as llama-server has it, the `tokens` themselves."""
    model, _ = parts.language_model()
    body = await _body(request)
    if isinstance(body, dict) and "messages" in body:
        return JSONResponse({"count": len(await _prompt(model, chat_messages(body["messages"])))})
    if isinstance(body, dict) and "content" in body:
        [content] = texts(body, "content", 1, MAX_TEXT)
        return JSONResponse({"tokens": await asyncio.to_thread(model.tokenize, content)})
    wanted = texts(body, "texts", 4096, MAX_TEXT)
    counts = await asyncio.to_thread(lambda: [len(model.tokenize(text)) for text in wanted])
    return JSONResponse({"counts": counts})


@served
async def props(parts: Parts, request: Request) -> Response:
    embedder = parts.question_embedder()
    return JSONResponse(
        {
            "server": "muniment",
            "model": parts.options.model_name if parts.model else "",
            "model_sha256": parts.options.model_sha256 if parts.model else "",
            "template_sha256": parts.model.template_sha256 if parts.model else "",
            "n_ctx": parts.model.context_tokens if parts.model else 0,
            "embedder": parts.options.embedder_name,
            "embedder_sha256": parts.options.embedder_sha256,
            "dimension": embedder.dimension,
            "max_tokens": embedder.max_tokens,
            "reranker": parts.options.reranker_name if parts.reranker else "",
            "reranker_sha256": parts.options.reranker_sha256 if parts.reranker else "",
            "rerank_ms": parts.reranker.passage_ms if parts.reranker else 0.0,
            "build": " ".join(f"{name} {version(name)}" for name in _build_parts(parts)),
        }
    )


def _build_parts(parts: Parts) -> list[str]:
    return ["sentence-transformers", "torch"] + (["llama-cpp-python"] if parts.model else [])


@served
async def models(parts: Parts, request: Request) -> Response:
    also = (name for name, _sha256, _folder in parts.options.also)
    names = [name for name in (parts.options.model_name, parts.options.embedder_name, *also) if name]
    data = [{"id": name, "object": "model", "owned_by": "muniment"} for name in names]
    return JSONResponse({"object": "list", "data": data})


@served
async def health(parts: Parts, request: Request) -> Response:
    if parts.ready:
        return JSONResponse({"status": "ready"})
    return JSONResponse({"status": "loading"}, 503)


def application(parts: Parts) -> Starlette:
    """The ASGI application over `parts`, loaded or still loading."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.parts = parts
        yield
        if parts.generator:
            parts.generator.close()
        parts.embedding_thread.shutdown(wait=False, cancel_futures=True)
        parts.reranking_thread.shutdown(wait=False, cancel_futures=True)

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
        Route("/v1/rerank", rerank, methods=["POST"]),
        Route("/tokenize", tokenize, methods=["POST"]),
        Route("/trial", trial, methods=["POST"]),
        Route("/props", props),
        Route("/v1/models", models),
        Route("/health", health),
    ]
    return Starlette(routes=routes, lifespan=lifespan)
