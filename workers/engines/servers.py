"""Language models that others serve on site: what each kind of server is asked, and how it answers.

Whatever a server is, a prompt that it would cut is never sent. Some kinds say how many tokens a prompt has,
for others it is estimated, rather too many; some say how many they read at once, for others an administrator
does. Ollama cuts the start of a long prompt without a word, so it is asked by its own API, which takes the
length that is wanted and can be told not to cut.

The shapes are those of the servers' documentation: vLLM's OpenAI-compatible server, llama.cpp's server, LM
Studio's REST API v0, Ollama's API.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from workers.engines import EngineUnavailable
from workers.engines.engine import plain
from workers.engines.wire import call, client

UNTOLD = (
    "The model's server does not say how many tokens it reads at once: set MUNIMENT_MODEL_CONTEXT to what it "
    "was started with."
)


@dataclass(frozen=True)
class Wanted:
    """What an administrator says of the server; `model` "" is its first one, `context` 0 what it tells."""

    url: str
    key: str = ""
    model: str = ""
    context: int = 0


@dataclass(frozen=True)
class Generation:
    """What is asked for: greedy unless `temperature` says otherwise, within `grammar` where that is known."""

    model: str
    context: int
    messages: Sequence[Mapping[str, str]]
    max_tokens: int
    temperature: float
    seed: int
    grammar: str


class OpenAIServer:
    """Any server of OpenAI's chat API. It tells neither what it reads at once nor how it counts."""

    kind = "OpenAI API"
    chat_path = "/v1/chat/completions"
    # Whether tokens are counted by the model's own tokenizer.
    exact = False

    def __init__(self, wanted: Wanted, http: httpx.Client) -> None:
        self.wanted, self.http = wanted, http

    def model(self) -> str:
        """The model that is asked. Raises EngineUnavailable when the server has none of that name."""
        return str(self._entry()["id"])

    def context(self) -> int:
        """Tokens of a prompt with its answer: what the server tells, or less where an administrator wants
        less. Raises EngineUnavailable where nobody says."""
        told, wanted = self.told_context(), self.wanted.context
        found = min(told, wanted) if told and wanted else told or wanted
        if not found:
            raise EngineUnavailable(UNTOLD)
        return found

    def told_context(self) -> int:
        return 0

    def count(self, texts: Sequence[str]) -> list[int]:
        return [_estimate(text) for text in texts]

    def count_prompt(self, messages: Sequence[Mapping[str, str]]) -> int:
        # Eight tokens around each message are more than the templates of the common models add.
        return 16 + sum(_estimate(message["content"]) + 8 for message in messages)

    def request(self, wanted: Generation) -> dict[str, Any]:
        return {
            "model": wanted.model,
            "messages": plain(wanted.messages),
            "max_tokens": wanted.max_tokens,
            "temperature": wanted.temperature,
            "seed": wanted.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def line(self, line: str) -> str:
        """A line of the stream as OpenAI's API has it."""
        return line

    def _listed(self) -> list[dict[str, Any]]:
        data = call(self.http, "GET", "/v1/models").get("data")
        return [entry for entry in data if isinstance(entry, dict) and "id" in entry] if data else []

    def _entry(self) -> dict[str, Any]:
        """What the server lists of the model that is asked. Raises EngineUnavailable as `model` does."""
        listed = {str(entry["id"]): entry for entry in self._listed()}
        wanted = self.wanted.model or next(iter(listed), "")
        if wanted not in listed:
            has = ", ".join(listed) or "none"
            raise EngineUnavailable(f"The model's server has no model {wanted!r}. It has: {has}.")
        return listed[wanted]


class Vllm(OpenAIServer):
    kind = "vLLM"
    exact = True

    def told_context(self) -> int:
        return int(self._entry().get("max_model_len") or 0)

    def count(self, texts: Sequence[str]) -> list[int]:
        model = self.model()
        return [self._count({"model": model, "prompt": text, "add_special_tokens": False}) for text in texts]

    def count_prompt(self, messages: Sequence[Mapping[str, str]]) -> int:
        asked = {"model": self.model(), "messages": plain(messages), "add_generation_prompt": True}
        return self._count(asked)

    def _count(self, asked: Mapping[str, Any]) -> int:
        return int(call(self.http, "POST", "/tokenize", asked)["count"])


class LlamaServer(OpenAIServer):
    kind = "llama-server"
    exact = True

    def told_context(self) -> int:
        """Of one of its slots, which is what a prompt has."""
        return int(call(self.http, "GET", "/props")["default_generation_settings"]["n_ctx"])

    def count(self, texts: Sequence[str]) -> list[int]:
        return [self._count(text, special=False) for text in texts]

    def count_prompt(self, messages: Sequence[Mapping[str, str]]) -> int:
        prompt = call(self.http, "POST", "/apply-template", {"messages": plain(messages)})["prompt"]
        return self._count(prompt, special=True)

    def request(self, wanted: Generation) -> dict[str, Any]:
        grammar = {"grammar": wanted.grammar} if wanted.grammar else {}
        return super().request(wanted) | grammar

    def _count(self, text: str, special: bool) -> int:
        asked = {"content": text, "add_special": special, "parse_special": special}
        return len(call(self.http, "POST", "/tokenize", asked)["tokens"])


class LMStudio(OpenAIServer):
    kind = "LM Studio"

    def _listed(self) -> list[dict[str, Any]]:
        """Those that write, the loaded ones first: another would be loaded with a context nobody knows."""
        data = call(self.http, "GET", "/api/v0/models")["data"]
        writing = [entry for entry in data if entry.get("type") in ("llm", "vlm")]
        return sorted(writing, key=lambda entry: entry.get("state") != "loaded")

    def told_context(self) -> int:
        return int(self._entry().get("loaded_context_length") or 0)


class Ollama(OpenAIServer):
    kind = "Ollama"
    chat_path = "/api/chat"
    # The length that its models are asked to have, in tokens, unless an administrator names one.
    LENGTH = 8192

    def _listed(self) -> list[dict[str, Any]]:
        return [{"id": entry["name"]} for entry in call(self.http, "GET", "/api/tags").get("models", [])]

    def told_context(self) -> int:
        """What is set with every request, at most what the model was trained for."""
        info = call(self.http, "POST", "/api/show", {"model": self.model()}).get("model_info", {})
        trained = max((int(n) for name, n in info.items() if name.endswith(".context_length")), default=0)
        wanted = self.wanted.context or self.LENGTH
        return min(trained, wanted) if trained else wanted

    def request(self, wanted: Generation) -> dict[str, Any]:
        return {
            "model": wanted.model,
            "messages": plain(wanted.messages),
            "stream": True,
            # Neither the prompt's start nor the conversation's is to be dropped.
            "truncate": False,
            "shift": False,
            "options": {
                "num_ctx": wanted.context,
                "num_predict": wanted.max_tokens,
                "temperature": wanted.temperature,
                "seed": wanted.seed,
            },
        }

    def line(self, line: str) -> str:
        """Its lines are JSON; what it thinks before it answers is left out."""
        if not line.strip():
            return ""
        try:
            said = json.loads(line)
            if "error" in said:
                return f"data: {json.dumps({'error': said['error']})}"
            chunk: dict[str, Any] = {"choices": [{"delta": {"content": said["message"]["content"]}}]}
            if said.get("done"):
                chunk["choices"][0]["finish_reason"] = said.get("done_reason") or "stop"
                chunk["usage"] = {
                    "prompt_tokens": said.get("prompt_eval_count", 0),
                    "completion_tokens": said.get("eval_count", 0),
                }
        except (ValueError, KeyError, TypeError):
            return "data: damaged"
        return f"data: {json.dumps(chunk)}"


def recognise(wanted: Wanted) -> OpenAIServer:
    """What kind of server answers at an address. Raises EngineUnavailable when none does."""
    http = client(wanted.url, wanted.key)
    # Some servers answer what they do not know with 200 and an error: only a known field counts.
    if "default_generation_settings" in call(http, "GET", "/props", missing={}):
        return LlamaServer(wanted, http)
    loaded = call(http, "GET", "/api/v0/models", missing={}).get("data") or []
    if any("max_context_length" in entry for entry in loaded):
        return LMStudio(wanted, http)
    if "version" in call(http, "GET", "/api/version", missing={}):
        return Ollama(wanted, http)
    listed = call(http, "GET", "/v1/models").get("data") or []
    kind = Vllm if any("max_model_len" in entry for entry in listed) else OpenAIServer
    return kind(wanted, http)


def _estimate(text: str) -> int:
    """Tokens of a text without its tokenizer, rather too many: one for three Latin letters, one for
    each digit and sign, two for each character of other scripts, at least one a word."""
    letters = sum(c.isascii() and (c.isalpha() or c.isspace()) for c in text)
    signs = sum(c.isascii() for c in text) - letters
    others = len(text) - letters - signs
    return max(math.ceil(letters / 3) + signs + 2 * others, len(text.split())) + 1
