"""`make site-secrets`: what it makes, and what it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def make(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "site_secrets.py"), str(folder)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_every_secret_is_long_its_own_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    done = make(folder)
    assert done.returncode == 0, done.stderr
    found = contents(folder)
    assert len(found) >= 10
    assert len(set(found.values())) == len(found)
    for name, secret in found.items():
        assert len(secret.strip()) >= 43, name
        assert oct((folder / name).stat().st_mode)[-3:] == "600", name
    assert oct(folder.stat().st_mode)[-3:] == "700"


def test_no_secret_is_printed(tmp_path: Path) -> None:
    done = make(tmp_path / "secrets")
    for secret in contents(tmp_path / "secrets").values():
        assert secret.strip() not in done.stdout + done.stderr


def test_what_is_there_is_left_alone_and_what_is_missing_comes_again(tmp_path: Path) -> None:
    make(tmp_path)
    before = contents(tmp_path)
    (tmp_path / "index_key").unlink()
    done = make(tmp_path)
    after = contents(tmp_path)
    assert done.stdout.startswith(f"1 secrets made, {len(before) - 1} kept")
    assert after.keys() == before.keys()
    assert [name for name in before if after[name] != before[name]] == ["index_key"]


def test_rights_that_were_opened_are_closed_again(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "index_key").chmod(0o644)
    make(tmp_path)
    assert oct((tmp_path / "index_key").stat().st_mode)[-3:] == "600"


def test_a_weak_secret_is_told_by_name_and_kept(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "index_key").write_text("hunter2\n")
    done = make(tmp_path)
    assert done.returncode == 1
    assert done.stderr == "Too short to be safe: index_key. Remove these files and run this again.\n"
    assert (tmp_path / "index_key").read_text() == "hunter2\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_made_by_root_they_belong_to_the_account_of_the_containers(tmp_path: Path) -> None:
    make(tmp_path, MUNIMENT_UID="12345")
    assert {path.stat().st_uid for path in tmp_path.iterdir()} == {12345}


def test_the_parts_take_what_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from muniment import environment

    make(tmp_path)
    monkeypatch.setenv("MUNIMENT_SECRET_KEY_FILE", str(tmp_path / "secret_key"))
    assert environment.secret("MUNIMENT_SECRET_KEY") == (tmp_path / "secret_key").read_text().strip()


def test_git_and_the_images_never_see_them() -> None:
    assert {"/deploy/secrets/", ".env"} <= set((ROOT / ".gitignore").read_text().splitlines())
    assert {"deploy/secrets", ".env"} <= set((ROOT / ".dockerignore").read_text().splitlines())
