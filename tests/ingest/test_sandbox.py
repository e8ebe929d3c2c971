"""The reader's child: limited, killable, forked quickly, and never the end of the process that asked."""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.ingest import make
from workers.ingest import errors, sandbox, wire
from workers.ingest.document import ReadDocument
from workers.ingest.limits import MIB, Limits
from workers.ingest.sandbox import read_in_child


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small"
    path.write_text("Some text.")
    return path


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """Takes seconds to read."""
    path = tmp_path / "slow"
    path.write_bytes(b"one,two,three\n" * 1_500_000)
    return path


def warm_reader() -> psutil.Process:
    sandbox.warm_up()
    assert sandbox._warm is not None
    return psutil.Process(sandbox._warm.process.pid)


def assert_no_child_left() -> None:
    deadline = time.monotonic() + 2
    while (left := warm_reader().children()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


def test_a_warm_reader_gives_a_child_in_milliseconds(small: Path) -> None:
    read_in_child(small, "a.txt")
    times = []
    for _ in range(9):
        began = time.perf_counter()
        read_in_child(small, "a.txt")
        times.append(time.perf_counter() - began)
    assert statistics.median(times) < 0.05


def test_progress_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(make.pdf([[(72, 700, 12, f"Page {n}")] for n in range(5)]))
    told: list[tuple[int, int]] = []
    read_in_child(tmp_path / "a.pdf", "a.pdf", on_progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 5) and told[-1] == (5, 5) and told == sorted(told)


def test_too_much_wall_time_is_stopped(slow: Path) -> None:
    began = time.monotonic()
    with pytest.raises(errors.TookTooLong):
        read_in_child(slow, "a.csv", Limits(wall=0.3))
    assert time.monotonic() - began < 1
    assert_no_child_left()


def test_too_much_processor_time_is_stopped(slow: Path) -> None:
    with pytest.raises(errors.TookTooLong):
        read_in_child(slow, "a.csv", Limits(cpu=1))


def test_too_much_memory_is_stopped(slow: Path) -> None:
    with pytest.raises(errors.NeedsTooMuchMemory):
        read_in_child(slow, "a.csv", Limits(memory=40 * MIB))


def test_a_file_over_the_limit_is_not_opened(slow: Path) -> None:
    with pytest.raises(errors.TooLarge, match="1 MB"):
        read_in_child(slow, "a.csv", Limits(file=MIB))


def test_output_over_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("word " * 100_000)
    with pytest.raises(errors.TooLarge):
        read_in_child(tmp_path / "a.txt", "a.txt", Limits(output=MIB // 4))


def test_a_reader_that_is_killed_is_reported(slow: Path, small: Path) -> None:
    def kill_child() -> None:
        while not (children := warm_reader().children()):
            time.sleep(0.01)
        children[0].send_signal(signal.SIGSEGV)

    killer = threading.Thread(target=kill_child)
    killer.start()
    with pytest.raises(errors.KilledReader) as caught:
        read_in_child(slow, "a.csv")
    killer.join()
    assert caught.value.cause == "SIGSEGV"
    assert read_in_child(small, "a.txt").text == "Some text."


def test_a_warm_reader_that_died_is_replaced(small: Path) -> None:
    warm_reader().kill()
    time.sleep(0.05)
    assert read_in_child(small, "a.txt").text == "Some text."


def test_a_caller_that_gives_up_takes_the_child_along(slow: Path) -> None:
    def give_up(_done: int, _total: int) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError):
        read_in_child(slow, "a.csv", on_progress=give_up)
    assert_no_child_left()


def test_many_threads_read_at_once(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / str(number)).write_text(f"Text {number}.")
    with ThreadPoolExecutor(6) as pool:
        texts = list(pool.map(lambda n: read_in_child(tmp_path / str(n), "a.txt").text, range(12)))
    assert texts == [f"Text {number}." for number in range(12)]


def _read_and_tell(path: Path, answers: multiprocessing.queues.Queue[str]) -> None:
    answers.put(read_in_child(path, "a.txt").text)


def test_a_daemonic_child_of_the_caller_reads_too(small: Path) -> None:
    """As Celery's prefork children are: `multiprocessing` would refuse them children of their own."""
    read_in_child(small, "a.txt")
    fork = multiprocessing.get_context("fork")
    answers: multiprocessing.queues.Queue[str] = fork.Queue()
    process = fork.Process(target=_read_and_tell, args=(small, answers), daemon=True)
    process.start()
    assert answers.get(timeout=10) == "Some text."
    process.join(10)
    assert process.exitcode == 0


def test_the_warm_reader_holds_no_secret_no_thread_and_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_SECRET_KEY", "hush")
    monkeypatch.setattr(sandbox, "_warm", None)
    process = warm_reader()
    while not process.num_fds() or "lxml" not in (maps := Path(f"/proc/{process.pid}/maps").read_text()):
        time.sleep(0.05)
    assert "MUNIMENT_SECRET_KEY" not in process.environ()
    assert process.num_threads() == 1
    assert not any(name in maps for name in ("torch", "numpy", "llama"))
    process.kill()


def test_the_child_has_its_limits_and_its_own_group(slow: Path) -> None:
    seen: dict[str, object] = {}

    def look(_done: int, _total: int) -> None:
        child = warm_reader().children()[0]
        seen["group"] = os.getpgid(child.pid) == child.pid
        seen["limits"] = [
            child.rlimit(kind)[0] for kind in (psutil.RLIMIT_FSIZE, psutil.RLIMIT_CORE, psutil.RLIMIT_CPU)
        ]
        raise InterruptedError

    with pytest.raises(InterruptedError):
        read_in_child(slow, "a.csv", on_progress=look)
    assert seen == {"group": True, "limits": [0, 0, 300]}


@pytest.mark.parametrize("damage", [b"", b"short", b"\xff" * 200])
def test_an_answer_that_is_no_document_is_refused(damage: bytes) -> None:
    with pytest.raises(wire.BadAnswer):
        wire.decode(damage)


def test_an_answer_whose_ranges_leave_the_text_is_refused(small: Path) -> None:
    document = read_in_child(small, "a.txt")
    assert wire.decode(wire.encode(document)) == document
    longer = ReadDocument(document.title, document.text[:4], document.pages, document.media_type)
    with pytest.raises(wire.BadAnswer):
        wire.decode(wire.encode(longer))
