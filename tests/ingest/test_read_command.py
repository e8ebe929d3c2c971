"""`manage.py read`: what the readers see, file by file, with nothing running."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command


def run(*arguments: Path | str) -> tuple[int, str]:
    """Exit code and what was printed."""
    out = io.StringIO()
    try:
        call_command("read", *map(str, arguments), stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_each_file_becomes_its_text_or_the_reason(tmp_path: Path) -> None:
    good, bad, out = tmp_path / "good.md", tmp_path / "bad.pdf", tmp_path / "new" / "out"
    good.write_text("# Rules\n\nNo *smoking*.")
    bad.write_bytes(b"%PDF-1.7\nnothing follows")
    code, told = run(good, bad, "--out", out)
    assert code == 1
    assert sorted(path.name for path in out.iterdir()) == ["bad.pdf.error", "good.md.txt"]
    assert (out / "good.md.txt").read_text() == "Rules\n\nNo smoking.\n"
    assert (out / "bad.pdf.error").read_text().startswith("broken: This file is damaged")
    assert [line.split() for line in told.splitlines()] == [["read", "good.md"], ["broken", "bad.pdf"]]


def test_a_file_that_was_mended_leaves_no_error_behind(tmp_path: Path) -> None:
    path, out = tmp_path / "a.txt", tmp_path / "out"
    path.write_text(" ")
    assert run(path, "--out", out)[0] == 1
    path.write_text("Words.")
    assert run(path, "--out", out)[0] == 0
    assert [path.name for path in out.iterdir()] == ["a.txt.txt"]


def test_files_of_one_name_are_refused_before_any_is_read(tmp_path: Path) -> None:
    paths = [tmp_path / name / "a.txt" for name in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        path.write_text("Words.")
    with pytest.raises(CommandError, match=r"Several files are called a\.txt"):
        run(*paths, "--out", tmp_path / "out")
    with pytest.raises(CommandError, match="There is no file"):
        run(tmp_path / "missing.txt", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Words.")
    with pytest.raises(CommandError, match="cannot be written"):
        run(tmp_path / "a.txt", "--out", tmp_path / "a.txt")
