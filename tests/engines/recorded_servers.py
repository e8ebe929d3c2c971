"""What servers of language models answer, in the shapes of their documentation, and a server that says it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Replies = Mapping[str, object]


def sse(*chunks: Mapping[str, Any]) -> str:
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


def delta(finish: str | None = None, **said: str) -> dict[str, Any]:
    choice = {"index": 0, "delta": said, "finish_reason": finish}
    return {"id": "chat-1", "object": "chat.completion.chunk", "choices": [choice]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 21, "completion_tokens": 2, "total_tokens": 23}}
VLLM: Replies = {
    "GET /v1/models": {
        "object": "list",
        "data": [
            {
                "id": "meta-llama/Llama-4-Scout",
                "object": "model",
                "owned_by": "vllm",
                "max_model_len": 131072,
            },
            {"id": "google/gemma-3-27b-it", "object": "model", "max_model_len": 65536},
        ],
    },
    "POST /tokenize": {"count": 17, "max_model_len": 131072, "tokens": [1, 2], "token_strs": None},
    "POST /v1/chat/completions": sse(
        delta(role="assistant", content=""),
        delta(reasoning_content="Let me see."),
        delta(content="In"),
        delta(content=" May"),
        delta("stop"),
        USAGE,
    ),
}
LLAMA_SERVER: Replies = {
    "GET /v1/models": {"object": "list", "data": [{"id": "mistral-large-3.gguf", "owned_by": "llamacpp"}]},
    "GET /props": {
        "default_generation_settings": {"id": 0, "n_ctx": 16384, "params": {"seed": 4294967295}},
        "total_slots": 2,
        "build_info": "b8681",
    },
    "POST /apply-template": {"prompt": "<s>[INST] Hi [/INST]"},
    "POST /tokenize": {"tokens": list(range(9))},
    "POST /v1/chat/completions": sse(
        delta(role="assistant"),
        delta(content="In"),
        delta(content=" May"),
        {
            **delta("stop"),
            "timings": {"prompt_n": 21, "prompt_ms": 500.0, "predicted_n": 2, "predicted_ms": 250.0},
        },
        USAGE,
    ),
}
# It answers what it does not know with 200.
UNKNOWN = {"error": "Unexpected endpoint or method."}
LM_STUDIO: Replies = {
    "GET /props": UNKNOWN,
    "GET /api/version": UNKNOWN,
    "GET /api/v0/models": {
        "object": "list",
        "data": [
            {"id": "nomic-embed", "type": "embeddings", "state": "loaded", "max_context_length": 2048},
            {"id": "qwen3-8b", "type": "llm", "state": "not-loaded", "max_context_length": 40960},
            {
                "id": "gemma-3-12b",
                "type": "vlm",
                "state": "loaded",
                "max_context_length": 131072,
                "loaded_context_length": 4096,
            },
        ],
    },
    "POST /v1/chat/completions": sse(delta(content="In"), delta(content=" May"), delta("stop"), USAGE),
}
OLLAMA: Replies = {
    "GET /api/version": {"version": "0.12.6"},
    "GET /api/tags": {"models": [{"name": "llama4:scout", "model": "llama4:scout"}, {"name": "gemma3:4b"}]},
    "GET /v1/models": {"object": "list", "data": [{"id": "llama4:scout", "owned_by": "library"}]},
    "POST /api/show": {
        "parameters": "num_ctx 4096",
        "model_info": {"general.architecture": "llama4", "llama4.context_length": 10485760},
    },
    "POST /api/chat": "".join(
        f"{json.dumps(line)}\n"
        for line in (
            {"message": {"role": "assistant", "content": "", "thinking": "Let me see."}, "done": False},
            {"message": {"role": "assistant", "content": "In"}, "done": False},
            {"message": {"role": "assistant", "content": " May"}, "done": False},
            {
                "message": {"role": "assistant", "content": ""},
                "done": True,
                "done_reason": "stop",
                "prompt_eval_count": 21,
                "eval_count": 2,
            },
        )
    ),
}
PLAIN: Replies = {
    "GET /v1/models": {"object": "list", "data": [{"id": "theirs", "object": "model"}]},
    "POST /v1/chat/completions": sse(delta(content="In"), delta(content=" May"), delta("stop"), USAGE),
}


@dataclass
class RecordedServer:
    """Says what is recorded, else 404, and keeps what it was asked."""

    replies: Replies
    seen: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def asked(self, what: str) -> Any:
        """The newest body that came to a route."""
        return next(body for route, _headers, body in reversed(self.seen) if route == what)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, body: object) -> None:
                route = f"{self.command} {self.path}"
                server.seen.append((route, dict(self.headers), body))
                reply = server.replies.get(route)
                self.send_response(404 if reply is None else 200)
                self.end_headers()
                self.wfile.write((reply if isinstance(reply, str) else json.dumps(reply)).encode())

            def log_message(self, format: str, *args: Any) -> None:
                """Tests are silent."""

        return Handler
