"""A model's chat template: a program out of the model's file, so it is run where it can be ended.

Jinja's sandbox keeps a template from Python's insides, not from taking for ever: one expression like
`9 ** (9 ** 9)` runs in C, where no thread can stop it and no bound of ranges helps, and two strings that
double each other eat the memory. So a template is rendered in a child of its own, with no files but Python's,
no sockets and the kernel's limits of time and memory: python -m workers.engines.chat_template.

The messages' texts are not rendered but markers for them, so a render depends on the roles alone. Its result
is kept for the day (templates may write the date): nearly all questions have the same roles and cost nothing.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers import walls
from workers.engines import children

if TYPE_CHECKING:
    import jinja2

MARK = "\ue000"
MOST_CHARACTERS = 200_000
CPU_SECONDS = 5
# On a machine that has much else to do.
WALL_SECONDS = 60.0
MEMORY = 512 * 2**20
REFUSES, TOO_MUCH = 3, 4
# Each of some thousand characters.
RENDERS_KEPT = 64
TRIED = ("system", "user")


class TemplateFailed(ValueError):
    """The template did not give a prompt; the message says what to do."""


class ChatTemplate:
    """`render` may be called from any thread."""

    def __init__(self, template: str, begins: str = "", ends: str = "") -> None:
        """`begins` and `ends` are the texts of the model's tokens for that."""
        self._template, self._begins, self._ends = template, begins, ends
        self._kept = functools.lru_cache(maxsize=RENDERS_KEPT)(self._render)

    def render(self, roles: Sequence[str]) -> list[str | int]:
        """A prompt that asks for an answer: the template's own texts, and for the content of a message its
        number. Raises TemplateFailed."""
        return list(self._kept(tuple(roles), datetime.now(UTC).astimezone().date()))

    def require_usable(self) -> None:
        """Raise TemplateFailed unless it takes what every question consists of."""
        if TRIED.index("user") not in self.render(TRIED):
            raise TemplateFailed("The model's chat template leaves the question out. Choose another model.")

    def _render(self, roles: tuple[str, ...], _day: object) -> tuple[str | int, ...]:
        wanted = {
            "template": self._template,
            "roles": roles,
            "bos_token": self._begins,
            "eos_token": self._ends,
        }
        return _pieces(_in_a_child(json.dumps(wanted)), len(roles))


def _pieces(rendered: str, messages: int) -> tuple[str | int, ...]:
    """Every second part is a marker's number."""
    parts = rendered.split(MARK)
    numbers = parts[1::2]
    if len(parts) % 2 == 0 or not all(number.isdecimal() and int(number) < messages for number in numbers):
        raise TemplateFailed("The model's chat template tears messages apart. Choose another model.")
    return tuple(int(part) if at % 2 else part for at, part in enumerate(parts))


def _in_a_child(wanted: str) -> str:
    """What the child writes. Raises TemplateFailed."""
    with subprocess.Popen(
        children.command("workers.engines.chat_template"),
        env=children.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdin and child.stdout  # noqa: S101 - for the type checker: both are pipes
        patience = threading.Timer(WALL_SECONDS, child.kill)
        patience.start()
        try:
            child.stdin.write(wanted.encode())
            child.stdin.close()
            # A character has at most four bytes.
            said = child.stdout.read(4 * MOST_CHARACTERS + 1)
        except BrokenPipeError:
            said = b""
        finally:
            patience.cancel()
            if len(said) > 4 * MOST_CHARACTERS:
                child.kill()
    _require_success(child.returncode)
    return said.decode(errors="replace")


def _require_success(code: int) -> None:
    if code == REFUSES:
        raise TemplateFailed("The model's chat template does not take these messages.")
    if code == TOO_MUCH:
        raise TemplateFailed(
            f"The model's chat template writes more than {MOST_CHARACTERS} characters. Choose another model."
        )
    if code:
        raise TemplateFailed(
            f"The model's chat template takes more than {CPU_SECONDS} seconds or {MEMORY // 2**20} MB. "
            "Choose another model."
        )


def main() -> int:
    """In the child: wall oneself in, then render what stands on standard input."""
    wanted = json.load(sys.stdin)
    # Afterwards only Python's own files can be read: no zone of time either.
    environment, now = _environment(), datetime.now(UTC).astimezone()
    _limit()
    walls.leave_network()
    walls.only_files(read=[Path(sys.prefix), Path(sys.base_prefix)])
    walls.no_sockets()
    messages = [{"role": role, "content": f"{MARK}{n}{MARK}"} for n, role in enumerate(wanted["roles"])]
    left = MOST_CHARACTERS
    try:
        template = environment.from_string(wanted["template"])
        for piece in template.generate(
            messages=messages,
            bos_token=wanted["bos_token"],
            eos_token=wanted["eos_token"],
            add_generation_prompt=True,
            tools=None,
            documents=None,
            raise_exception=_refuse,
            strftime_now=now.strftime,
        ):
            left -= len(piece)
            if left < 0:
                return TOO_MUCH
            sys.stdout.write(piece)
        sys.stdout.flush()
    except MemoryError:
        return 1
    except Exception:
        # Of whatever kind: the template is wrong, or wrong for these messages.
        return REFUSES
    return 0


def _limit() -> None:
    import resource

    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _environment() -> jinja2.Environment:
    """With what the publishers' own library gives to chat templates."""
    from jinja2 import BaseLoader
    from jinja2.ext import Extension, loopcontrols
    from jinja2.nodes import Node
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks what a model is trained to write; here it is nothing."""

        tags = {"generation"}

        def parse(self, parser: Parser) -> list[Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = ImmutableSandboxedEnvironment(
        loader=BaseLoader(), trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    return environment


def _refuse(message: str) -> None:
    raise ValueError(message)


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


if __name__ == "__main__":
    sys.exit(main())
