"""A chat template comes out of the model's file: it is rendered where it can be ended."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from tests.engines.made_gguf import TEMPLATE
from workers.engines import chat_template
from workers.engines.chat_template import ChatTemplate, TemplateFailed
from workers.engines.gguf_header import read_header

CONVERSATION = ["system", "user", "assistant", "user"]


def test_it_gives_its_own_texts_and_the_messages_numbers() -> None:
    assert ChatTemplate(TEMPLATE).render(["system", "user"]) == [
        *("<|system|>", 0, "<|end|><|user|>", 1, "<|end|><|assistant|>")
    ]


def test_a_real_template_gives_what_the_librarys_formatter_gives(language_file: Path) -> None:
    template = read_header(language_file).template
    ours = ChatTemplate(template, "<bos>", "<eos>").render(CONVERSATION)
    theirs = Jinja2ChatFormatter(template, eos_token="<eos>", bos_token="<bos>")(
        messages=[{"role": role, "content": f"({n})"} for n, role in enumerate(CONVERSATION)]
    )
    assert "".join(f"({part})" if isinstance(part, int) else part for part in ours) == theirs.prompt


def test_it_has_what_publishers_count_on() -> None:
    template = (
        "{{ bos_token }}{% generation %}{{ messages[1].content }}{% endgeneration %}{{ strftime_now('%Y') }}"
        "{% for n in range(9) %}{% if n == 1 %}{% break %}{% endif %}{{ {'n': 'é'} | tojson }}{% endfor %}"
    )
    assert ChatTemplate(template, "<s>").render(["system", "user"]) == [
        "<s>",
        1,
        f'{time.strftime("%Y")}{{"n": "é"}}',
    ]


HOSTILE = {
    "a power": "{{ 9 ** (9 ** 9) }}",
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a call of itself": "{% macro a() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}",
    "a long text": "{{ 'a' * 10 ** 11 }}",
    "doubling": (
        "{% set n = namespace(a='aaaaaaaa') %}{% for b in range(99) %}{% set n.a = n.a ~ n.a %}{% endfor %}"
    ),
    "a wide column": "{{ '%99999999999d' % 1 }}",
    "a long list": "{{ ([0] * 10 ** 10) | length }}",
    "a range": "{{ range(10 ** 9) | list }}",
    "much to write": "{% for a in range(99999) %}{{ messages[1].content }}{% endfor %}",
    "much at once": "{{ 'é' * 10 ** 7 }}",
    "a wrong number": "{{ messages[1].content }}\ue0009\ue000",
    "half a message": "{{ messages[1].content[1:] }}",
    "no template": "{% for %}",
    "a refusal": "{{ raise_exception('No.') }}",
    "Python's insides": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "a file": "{% include '/etc/passwd' %}",
    "a change": "{{ messages.append(messages[0]) }}",
}


@pytest.mark.parametrize("template", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_template_ends_in_a_sentence(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "WALL_SECONDS", 30.0)
    begun = time.monotonic()
    with pytest.raises(TemplateFailed, match=r"^The model's chat template .*\.$"):
        ChatTemplate(template).render(["system", "user"])
    assert time.monotonic() - begun < 40


def test_one_that_only_waits_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of time in the processor does not see it."""
    monkeypatch.setattr(chat_template, "WALL_SECONDS", 0.01)
    with pytest.raises(TemplateFailed, match="more than"):
        ChatTemplate(TEMPLATE).render(["user"])


def test_one_that_drops_the_question_is_not_usable() -> None:
    ChatTemplate(TEMPLATE).require_usable()
    with pytest.raises(TemplateFailed, match="leaves the question out"):
        ChatTemplate("{{ messages[0].content }}").require_usable()


def test_the_same_roles_are_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    template = ChatTemplate(TEMPLATE)
    first = template.render(CONVERSATION)

    def no_child(wanted: str) -> str:
        raise AssertionError("rendered again")

    monkeypatch.setattr(chat_template, "_in_a_child", no_child)
    assert template.render(CONVERSATION) == first
    with pytest.raises(AssertionError):
        template.render(["user"])


def test_threads_may_render_at_once() -> None:
    template, found = ChatTemplate(TEMPLATE), []
    threads = [
        threading.Thread(target=lambda n=n: found.append(len(template.render(["user"] * n))))
        for n in (1, 2, 3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [3, 5, 7]
