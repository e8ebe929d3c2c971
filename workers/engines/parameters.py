"""What a chat request may say, as one checked value. Nothing else of a request reaches llama.cpp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROLES = ("system", "user", "assistant")
MAX_MESSAGES = 512
MAX_STOPS, MAX_STOP_LENGTH = 8, 64
MAX_GRAMMAR = 65_536
# The value above is llama.cpp's own sign for "any seed".
MAX_SEED = 2**32 - 2


class BadParameter(Exception):
    """A request's field has the wrong type or range; `code` is the code of OpenAI's error shape."""

    def __init__(self, message: str, param: str, code: str = "invalid_value") -> None:
        super().__init__(message)
        self.param = param
        self.code = code


@dataclass(frozen=True)
class ChatParameters:
    """`max_tokens` is None when all that the context leaves is meant."""

    messages: list[dict[str, str]]
    max_tokens: int | None
    temperature: float
    top_p: float
    seed: int
    stop: tuple[str, ...]
    grammar: str
    stream: bool


def chat_parameters(body: Any, context: int) -> ChatParameters:
    """Read the body of a chat request; `context` is the most tokens an answer can have.

    Raises BadParameter.
    """
    if not isinstance(body, dict):
        raise BadParameter("The body must be a JSON object.", "body")
    if body.get("n") not in (None, 1):
        raise BadParameter("n must be 1: one answer a request.", "n")
    limit = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    return ChatParameters(
        messages=chat_messages(body.get("messages")),
        max_tokens=None if body.get(limit) is None else _integer(body, limit, 0, 1, context),
        temperature=_number(body, "temperature", 1.0, 0.0, 2.0),
        top_p=_number(body, "top_p", 1.0, 0.01, 1.0),
        seed=_integer(body, "seed", 0, 0, MAX_SEED),
        stop=_stops(body.get("stop")),
        grammar=_text(body, "grammar", MAX_GRAMMAR),
        stream=_flag(body, "stream"),
    )


def chat_messages(value: Any) -> list[dict[str, str]]:
    """Roles and texts of a conversation, nothing else of it. Raises BadParameter."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_MESSAGES:
        raise BadParameter(f"messages must be a list of 1 to {MAX_MESSAGES} messages.", "messages")
    return [_message(item) for item in value]


def texts(body: Any, name: str, most: int, longest: int) -> list[str]:
    """One text or a list of up to `most` texts of up to `longest` characters. Raises BadParameter."""
    value = body.get(name) if isinstance(body, dict) else None
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not 1 <= len(items) <= most:
        raise BadParameter(f"{name} must be a text or a list of 1 to {most} texts.", name)
    if not all(isinstance(item, str) and len(item) <= longest for item in items):
        raise BadParameter(f"Each text of {name} must have at most {longest} characters.", name)
    return items


def _message(item: Any) -> dict[str, str]:
    role, content = (item.get("role"), item.get("content")) if isinstance(item, dict) else (None, None)
    if role not in ROLES or not isinstance(content, str):
        raise BadParameter(
            f"Each of messages needs a role ({', '.join(ROLES)}) and a text as content.", "messages"
        )
    return {"role": role, "content": content}


def _number(body: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    value = default if body.get(name) is None else body[name]
    # JSON's NaN fails the comparison too.
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise BadParameter(f"{name} must be a number from {least:g} to {most:g}.", name)
    return float(value)


def _integer(body: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = default if body.get(name) is None else body[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadParameter(f"{name} must be a whole number from {least} to {most}.", name)
    return value


def _text(body: Mapping[str, Any], name: str, longest: int) -> str:
    value = body.get(name) or ""
    if not isinstance(value, str) or len(value) > longest:
        raise BadParameter(f"{name} must be a text of at most {longest} characters.", name)
    return value


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name) or False
    if not isinstance(value, bool):
        raise BadParameter(f"{name} must be true or false.", name)
    return value


def _stops(value: Any) -> tuple[str, ...]:
    items = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(items, list) or len(items) > MAX_STOPS:
        raise BadParameter(f"stop must be a text or a list of at most {MAX_STOPS} texts.", "stop")
    if not all(isinstance(item, str) and 1 <= len(item) <= MAX_STOP_LENGTH for item in items):
        raise BadParameter(f"Each stop text must have 1 to {MAX_STOP_LENGTH} characters.", "stop")
    return tuple(items)
