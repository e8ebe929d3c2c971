"""The supervisor over fake parts: started in order, started again, ended when they hang, all gone after."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.supervisor.conftest import Watched, eventually
from workers import guard, supervisor

Watch = Callable[[str], Watched]
ONE = "part('one')"


def test_parts_start_in_order_and_stop_at_ctrl_c(watch: Watch) -> None:
    watched = watch("part('second', 'first'), part('first')")
    watched.wait_ready("first", "second")
    assert watched.starts("first")[0] < watched.starts("second")[0]
    said = watched.end()
    assert watched.process.returncode == 0
    assert said.index("first is ready") < said.index("second is ready") < said.index("all are ready")
    assert watched.alive() == []


NEEDY = "part('one', needs=(Need('the database (ITS_ADDRESS)', answers),))"


def test_a_part_waits_for_a_server_elsewhere_and_says_for_which(watch: Watch) -> None:
    watched = watch(NEEDY)
    eventually(lambda: watched.parts().get("one", {}).get("reason"))
    time.sleep(2)
    assert watched.state("one") == "waiting"
    assert watched.parts()["one"]["reason"] == "for the database (ITS_ADDRESS)"
    assert watched.starts("one") == []
    (watched.folder / "answers").write_text("yes")
    watched.wait_ready("one")
    assert watched.parts()["one"]["reason"] == ""
    assert watched.end().count("one waits for the database (ITS_ADDRESS), and starts by itself") == 1


def test_a_server_that_must_not_be_worked_with_ends_everything_with_a_sentence(watch: Watch) -> None:
    watched = watch(NEEDY)
    eventually(lambda: watched.state("one") == "waiting")
    (watched.folder / "refuses").touch()
    said = watched.process.communicate(timeout=20)[0]
    assert watched.process.returncode == 1
    assert "Its tables are too old." in said
    assert watched.starts("one") == []


def test_a_part_that_dies_is_started_again_ever_more_slowly(watch: Watch) -> None:
    watched = watch(ONE)
    watched.wait_ready("one")
    (watched.folder / "one.dies").touch()
    starts = eventually(lambda: watched.starts("one")[3:] and watched.starts("one"))
    gaps = [later - earlier for earlier, later in pairwise(starts[1:])]
    assert gaps[0] >= 1.0
    assert gaps[1] >= 2.0
    (watched.folder / "one.dies").unlink()
    watched.wait_ready("one")
    assert watched.parts()["one"]["restarts"] >= 3
    assert "it is started again in" in watched.end()


def test_a_part_comes_behind_others(watch: Watch) -> None:
    """Among sessions a kernel may share evenly; within one it heeds nice values."""
    watched = watch("part('one', nice=7), part('two')")
    watched.wait_ready("one")
    watched.wait_ready("two")
    behind, other = (watched.parts()[name]["pid"] for name in ("one", "two"))
    assert psutil.Process(behind).nice() == 7
    assert os.getsid(behind) == os.getsid(other)
    assert os.getpgid(behind) == behind != os.getpgid(other)


def test_what_a_dead_part_started_does_not_outlive_it(watch: Watch) -> None:
    """The fake's child is in another session, so that only its parentage gives it away."""
    watched = watch(ONE)
    watched.wait_ready("one")
    leader = psutil.Process(watched.parts()["one"]["pid"])
    (grandchild,) = leader.children()
    leader.kill()
    eventually(lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE)
    watched.wait_ready("one")
    watched.end()


def test_a_part_that_was_killed_leaves_no_socket_behind(watch: Watch) -> None:
    watched = watch("part('one', sockets=(run_dir / 'one.sock',))")
    watched.wait_ready("one")
    (watched.folder / "run" / "one.sock").touch()
    watched.end()
    left = [path.name for path in (watched.folder / "run").rglob("*") if path.is_file()]
    assert left == ["state.json"]


def test_a_part_that_hangs_is_ended_and_started_again(watch: Watch) -> None:
    watched = watch(ONE)
    watched.wait_ready("one")
    first = watched.parts()["one"]["pid"]
    (watched.folder / "one.hangs").touch()
    eventually(lambda: "did not answer" in watched.parts()["one"]["reason"])
    (watched.folder / "one.hangs").unlink()
    eventually(lambda: watched.state("one") == "ready" and watched.parts()["one"]["pid"] != first)
    assert "did not answer for 1 s" in watched.end()


def test_a_part_frozen_by_the_kernel_is_killed(watch: Watch) -> None:
    """A stopped process does not hear SIGTERM: only SIGKILL helps."""
    watched = watch("part('one', stop_seconds=0.5)")
    watched.wait_ready("one")
    first = watched.parts()["one"]["pid"]
    os.kill(first, signal.SIGSTOP)
    eventually(lambda: watched.state("one") == "ready" and watched.parts()["one"]["pid"] != first)
    assert "did not answer for 1 s" in watched.end()


def test_a_part_that_takes_too_much_memory_is_started_again(watch: Watch) -> None:
    watched = watch("part('one', memory=100_000_000)")
    watched.wait_ready("one")
    (watched.folder / "one.grows").touch()
    eventually(lambda: watched.parts()["one"]["restarts"])
    (watched.folder / "one.grows").unlink()
    assert "of at most" in watched.end()


def test_a_part_that_never_serves_is_not_waited_for_for_ever(watch: Watch) -> None:
    watched = watch("part('one', start_seconds=0.5)")
    (watched.folder / "one.hangs").touch()
    eventually(lambda: "did not serve within" in watched.parts().get("one", {}).get("reason", ""))
    watched.end()


def test_nothing_is_left_when_the_command_is_killed(watch: Watch) -> None:
    watched = watch("part('one'), part('two', 'one')")
    watched.wait_ready("one", "two")
    watched.process.kill()
    eventually(lambda: watched.alive() == [])


def test_nothing_is_left_when_the_supervisor_is_killed(watch: Watch) -> None:
    watched = watch("part('one'), part('two', 'one')")
    watched.wait_ready("one", "two")
    (inner,) = psutil.Process(watched.process.pid).children()
    inner.kill()
    eventually(lambda: watched.alive() == [])


def test_sigterm_stops_everything_in_the_middle_of_a_start(watch: Watch) -> None:
    watched = watch("part('one'), part('two', 'one')")
    (watched.folder / "one.hangs").touch()
    eventually(lambda: watched.state("one") == "starting")
    watched.process.terminate()
    watched.process.wait(timeout=10)
    assert watched.alive() == []
    assert watched.starts("two") == []


def test_a_part_that_cannot_be_started_does_not_end_the_others(watch: Watch, tmp_path: Path) -> None:
    """Its log cannot be opened, as on a full disk; it starts when that has passed."""
    (tmp_path / "logs" / "two.log").mkdir(parents=True)
    watched = watch("part('one'), part('two')")
    watched.wait_ready("one")
    eventually(lambda: "could not be started" in watched.parts()["two"]["reason"])
    (tmp_path / "logs" / "two.log").rmdir()
    watched.wait_ready("one", "two")
    watched.end()


def test_a_supervisor_that_fails_is_an_exit_code_and_no_second_return() -> None:
    script = (
        "import sys; from workers import guard\n"
        "def run(): raise OSError('no')\n"
        "code = guard.guarded(run)\n"
        "print('returned', flush=True); sys.exit(code)\n"
    )
    root = Path(guard.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == "returned\n"
    assert "OSError: no" in done.stderr


def test_a_second_supervisor_for_the_folder_is_refused(watch: Watch, tmp_path: Path) -> None:
    watched = watch(ONE)
    watched.wait_ready("one")
    assert guard.is_held(tmp_path / "lock")
    with pytest.raises(guard.AlreadyRunning, match="already runs for this data folder"):
        guard.hold(tmp_path / "lock")
    watched.end()
    assert not guard.is_held(tmp_path / "lock")


def test_a_port_in_use_is_said_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(guard.CannotServe, match=f"Port {port} is in use.*MUNIMENT_PORT"):
            guard.check_port("127.0.0.1", port)
    guard.check_port("127.0.0.1", port)


def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(guard.CannotServe, match="cannot be opened"):
        guard.check_port("192.0.2.1", 8000)


def test_a_folder_for_sockets_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir(mode=0o777)
    run_dir.chmod(0o777)
    with pytest.raises(guard.CannotServe, match="belongs to others"):
        guard.prepare_run_dir(run_dir)


def test_a_link_instead_of_the_folder_for_sockets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(guard.CannotServe):
        guard.prepare_run_dir(tmp_path / "run")


def test_a_folder_name_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(guard.CannotServe, match="too long"):
        guard.prepare_run_dir(tmp_path / ("x" * 100))


def test_a_log_is_cut_when_it_is_long_and_some_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LOG_BYTES", 100)
    log = tmp_path / "one.log"
    with log.open("ab") as writer:
        for turn in range(6):
            writer.write(b"%d" % turn * 200)
            writer.flush()
            supervisor._rotate(log)
    assert log.read_bytes() == b""
    assert [(tmp_path / f"one.log.{number}").read_bytes()[:1] for number in (1, 2, 3)] == [b"5", b"4", b"3"]
    assert not (tmp_path / "one.log.4").exists()


def test_state_is_published_for_the_health_page(watch: Watch) -> None:
    watched = watch(ONE)
    watched.wait_ready("one")
    facts = eventually(lambda: watched.parts()["one"]["rss"] and watched.parts()["one"])
    assert facts["pid"] in {process.pid for process in watched.alive()}
    assert facts["since"] <= time.time()
    assert "one runs as" in (watched.folder / "logs" / "one.log").read_text()
    watched.end()
