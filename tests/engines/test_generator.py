"""The queue's order, and text from pieces of tokens."""

from __future__ import annotations

from workers.engines.queueing import FairQueue, Task
from workers.engines.text_assembler import TextAssembler


def _task(tenant: str) -> Task:
    return Task(prompt=[1], max_tokens=1, sampler=None, tenant=tenant)  # type: ignore[arg-type]  # never sampled


def _queue(*tenants: str) -> FairQueue:
    queue = FairQueue()
    for tenant in tenants:
        queue.add(_task(tenant))
    return queue


def _order(queue: FairQueue) -> str:
    return " ".join(task.tenant for task in queue.tasks)


def test_tenants_take_turns() -> None:
    assert _order(_queue("a", "a", "a", "b", "c", "b")) == "a b c a b a"


def test_one_tenants_questions_keep_their_order() -> None:
    queue = FairQueue()
    first, second = _task("a"), _task("a")
    for task in (first, _task("b"), second):
        queue.add(task)
    assert [task for task in queue.tasks if task.tenant == "a"] == [first, second]


def test_who_was_just_served_comes_after_a_newcomer() -> None:
    queue = _queue("a", "a", "a")
    queue.pop()
    queue.add(_task("b"))
    assert _order(queue) == "b a a"


def test_a_newcomer_comes_after_those_who_wait_for_the_same_round() -> None:
    queue = _queue("a", "b", "c")
    queue.pop()
    queue.add(_task("d"))
    assert _order(queue) == "b c d"


def test_questions_taken_back_cost_no_turn() -> None:
    queue = _queue("a", "a", "a")
    queue.tasks.clear()
    queue.add(_task("b"))
    queue.add(_task("b"))
    queue.add(_task("a"))
    assert _order(queue) == "b a b"


def _assemble(pieces: list[bytes], *stop: str) -> tuple[list[str], str, bool]:
    assembler = TextAssembler(stop)
    return [assembler.add(piece) for piece in pieces], assembler.rest(), assembler.stopped


def test_a_character_over_two_pieces_comes_whole() -> None:
    emoji = "😀".encode()
    assert _assemble([b"a", emoji[:1], emoji[1:3], emoji[3:] + b"b"]) == (["a", "", "", "😀b"], "", False)


def test_an_unfinished_character_is_dropped() -> None:
    assert _assemble([b"a", "é".encode()[:1]]) == (["a", ""], "", False)


def test_a_stop_string_over_two_pieces_ends_the_text() -> None:
    assert _assemble([b"one#", b"#two"], "##") == (["one", ""], "", True)


def test_what_only_looked_like_a_stop_string_is_given_back() -> None:
    assert _assemble([b"one#", b"two"], "##") == (["one", "#two"], "", False)


def test_a_held_end_is_given_back_when_nothing_follows() -> None:
    assert _assemble([b"one#"], "##") == (["one"], "#", False)


def test_the_first_of_two_stop_strings_counts() -> None:
    assert _assemble([b"one. two! three"], "!", ".") == (["one"], "", True)
