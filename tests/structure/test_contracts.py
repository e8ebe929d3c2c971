"""The shape of the house: who may import whom, and what the web process must never load."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tomllib
from pathlib import Path

import muniment

ROOT = Path(__file__).resolve().parents[2]
VENDORS = (
    "torch",
    "sentence_transformers",
    "llama_cpp",
    "qdrant_client",
    "qdrant_edge",
    "pypdfium2",
    "docx",
    "pptx",
    "openpyxl",
    "lxml",
    "workers",
)


def test_imports_keep_to_the_contracts() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")],
        cwd=ROOT,
        env=_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_web_process_loads_no_model_no_index_and_no_parser() -> None:
    code = (
        "import sys, muniment.asgi; from django.urls import get_resolver; get_resolver().url_patterns;"
        f"print([name for name in {VENDORS!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=_environment() | {"DJANGO_SETTINGS_MODULE": "muniment.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_platform_is_still_the_standard_librarys() -> None:
    assert platform.python_version()
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_no_migration_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"],
        cwd=ROOT,
        env=_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"}


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == muniment.__version__
