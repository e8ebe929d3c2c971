"""The switches that keep libraries from calling out: a wrong one stops the start, a right one is obeyed."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from importlib.metadata import distributions, files
from pathlib import Path

import pytest
from django.conf import settings

import workers.settings
from muniment import switches
from workers.engines import index

ROOT = Path(__file__).resolve().parents[2]
# Libraries that report to their makers unless told otherwise, some by an address in native code.
REPORTING = {
    *("onnxruntime", "posthog", "sentry-sdk", "chromadb", "langchain", "langsmith", "llama-index", "ragas"),
    *("haystack-ai", "litellm", "crewai", "unstructured", "scarf", "gradio", "vllm", "docling", "fastembed"),
    *("newrelic", "ddtrace", "rollbar", "bugsnag", "mixpanel", "segment-analytics-python", "datasets"),
}


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("name", switches.SWITCHES)
def test_a_switch_that_is_off_stops_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "0")
    with pytest.raises(switches.SwitchedOff, match=name):
        switches.switch_on()


def test_a_switch_that_is_on_in_other_words_is_set_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "True")
    switches.switch_on()
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert switches.changed() == []


def test_a_command_says_which_switch_in_a_sentence() -> None:
    done = run("manage.py", "check", DO_NOT_TRACK="0")
    assert done.returncode == 1
    assert done.stderr.startswith("DO_NOT_TRACK is set to '0'") and "Traceback" not in done.stderr


def test_the_engine_says_which_switch_in_a_sentence(tmp_path: Path) -> None:
    engine = ("-m", "workers.engines.engine_server", "--no-model", "--embedder", str(tmp_path))
    done = run(*engine, HF_HUB_OFFLINE="0")
    assert done.returncode == 3
    assert done.stderr.startswith("HF_HUB_OFFLINE is set to '0'")


def test_a_switch_that_is_lost_while_django_starts_stops_the_start() -> None:
    code = (
        "import os, muniment.settings, django;"
        "os.environ.update(DJANGO_SETTINGS_MODULE='muniment.settings', HF_HUB_OFFLINE='0');django.setup()"
    )
    assert "Something switched off HF_HUB_OFFLINE" in run("-c", code).stderr


def test_the_hub_s_library_obeys() -> None:
    code = (
        "from muniment import switches; switches.switch_on()\n"
        "from huggingface_hub import constants as c\n"
        "print(c.HF_HUB_OFFLINE, c.HF_HUB_DISABLE_TELEMETRY, c.HF_HUB_DISABLE_IMPLICIT_TOKEN,"
        " c.HF_HUB_DISABLE_XET)"
    )
    assert run("-c", code).stdout.split() == ["True"] * 4


# Where the installed libraries read their switches. The others are of libraries that are not installed: they
# would obey, were one of them brought along.
READ_BY = {
    "huggingface_hub/constants.py": {
        *("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"),
        *("HF_HUB_DISABLE_UPDATE_CHECK", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "HF_HUB_DISABLE_XET"),
    },
    "transformers/modeling_utils.py": {"DISABLE_SAFETENSORS_CONVERSION"},
}
OF_OTHERS = {"ORT_DISABLE_TELEMETRY", "HF_DATASETS_OFFLINE"}


@pytest.mark.parametrize("file", READ_BY)
def test_a_library_still_knows_its_switches_by_these_names(file: str) -> None:
    (path,) = (found for found in files(file.split("/")[0]) or [] if str(found) == file)
    text = path.locate().read_text()
    assert not {name for name in READ_BY[file] if f'"{name}"' not in text}


def test_every_switch_is_one_of_a_library() -> None:
    assert set(switches.SWITCHES) == set().union(*READ_BY.values()) | OF_OTHERS


def test_the_index_is_asked_and_nobody_else(tmp_path: Path) -> None:
    """The client would compare its version with the server's, and could embed at its maker's."""
    with closing(index.QdrantIndex(f"unix:{tmp_path}/nobody.sock", 8)) as made:
        options = made._client.init_options
    assert options["check_compatibility"] is False
    assert not options.get("cloud_inference")


def test_django_tells_nobody_of_errors() -> None:
    assert not settings.DEBUG and not settings.ADMINS and not settings.MANAGERS
    # Asked of the module: Django's tests set another one.
    assert workers.settings.EMAIL_BACKEND == "django.core.mail.backends.dummy.EmailBackend"


def test_no_library_that_reports_to_its_maker_is_installed() -> None:
    installed = {str(found.metadata["Name"]).lower().replace("_", "-") for found in distributions()}
    assert not installed & REPORTING
