"""The main job as a newcomer does it: upload, ask, read the sources, open the cited page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.engines.plain_server import plain_server
from tests.ingest.make import pdf
from tests.running import DEFAULT_MODEL, SMALL_MODEL, RunningHouse
from workers.engines import catalogue

FACTS = [
    "Boiler manual. A leak of the old boiler is reported within 36 hours of being seen. "
    "The boiler keeper is informed at once, by voice.",
    "The valves are oiled every three months. The form for it is called KS-4471.",
    "The canteen opens at half past eleven. On Fridays there is fish.",
]


def lines(text: str) -> list[tuple[float, float, float, str]]:
    return [(72, 760 - 20 * i, 11, f"{line}.") for i, line in enumerate(text.rstrip(".").split(". "))]


@pytest.fixture(scope="session")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "boiler-manual.pdf"
    path.write_bytes(pdf([lines(text) for text in FACTS]))
    return path


def library_of(house: RunningHouse) -> str:
    """The slug of the first library, as its link on the page names it."""
    page = house.client("admin").get("/").text
    found = re.search(r"/libraries/([a-z0-9-]+)/", page)
    assert found, page
    return found.group(1)


def test_files_are_published_and_questions_find_them(house: RunningHouse, manual: Path) -> None:
    library = library_of(house)
    done = house.manage("ingest", str(manual), "--library", library, "--wait", "--json")
    assert [row["state"] for row in json.loads(done.stdout)] == ["published"]
    answer = json.loads(
        house.manage(
            "ask",
            "Within how many hours is a leak of the old boiler reported?",
            "--library",
            library,
            "--json",
        ).stdout
    )
    assert set(answer) == {"turn", "answer", "state", "citations", "timings"}
    assert answer["state"] in {"answered", "weak", "not_in_documents"}
    assert answer["timings"]["search"] < 10


def test_a_broken_file_fails_with_a_sentence_and_the_others_go_on(
    house: RunningHouse, manual: Path, tmp_path: Path
) -> None:
    broken, good = tmp_path / "broken.pdf", tmp_path / "good.txt"
    broken.write_bytes(b"%PDF-1.7 and nothing else")
    good.write_text("The key to the boiler room hangs behind the door.")
    done = house.manage(
        "ingest", str(broken), str(good), "--library", library_of(house), "--wait", "--json", check=False
    )
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 1
    assert rows["good.txt"]["state"] == "published"
    assert rows["broken.pdf"]["state"] == "failed" and rows["broken.pdf"]["reason"].endswith(".")


def test_an_unknown_library_is_a_sentence(house: RunningHouse, manual: Path) -> None:
    done = house.manage("ingest", str(manual), "--library", "nowhere", check=False)
    assert done.returncode != 0
    assert "There is no library nowhere" in done.stderr


def test_the_web_process_is_small(house: RunningHouse) -> None:
    web = house.states()["web"]
    assert web["rss"] < 150_000_000, web


def test_the_default_model_answers_and_cites(tmp_path: Path, manual: Path) -> None:
    """The main job with the model that people get."""
    house = RunningHouse(tmp_path, DEFAULT_MODEL)
    house.prepare()
    house.start()
    try:
        library = library_of(house)
        house.manage("ingest", str(manual), "--library", library, "--wait")
        done = house.manage(
            "ask",
            "Within how many hours is a leak of the old boiler reported?",
            "--library",
            library,
            "--json",
        )
        answer = json.loads(done.stdout)
        assert answer["state"] == "answered", answer
        assert "36" in answer["answer"]
        assert any(
            cited["file"] == "boiler-manual.pdf" and cited["page"] == 1 for cited in answer["citations"]
        )
        _receipt_is_replayed(house, answer["turn"], tmp_path / "receipt")
    finally:
        house.stop()


def _receipt_is_replayed(house: RunningHouse, turn: str, receipt: Path) -> None:
    house.manage("receipt", turn, "--out", str(receipt))
    assert "Identical" in house.manage("replay", str(receipt)).stdout
    receipt.write_text(receipt.read_text().replace("36", "63"))
    refused = house.manage("replay", str(receipt), check=False)
    assert refused.returncode != 0 and "changed after signing" in refused.stderr


def test_a_model_that_another_server_has_answers_and_nothing_is_left_running(
    tmp_path: Path, manual: Path
) -> None:
    with plain_server(catalogue.path_of(SMALL_MODEL), 4096, "a-key") as url:
        place = {"MUNIMENT_MODEL_URL": url, "MUNIMENT_MODEL_KEY": "a-key", "MUNIMENT_MODEL_CONTEXT": "4096"}
        house = RunningHouse(tmp_path, "", **place)
        house.prepare()
        house.start()
        try:
            library = library_of(house)
            house.manage("ingest", str(manual), "--library", library, "--wait")
            question = "Within how many hours is a leak of the old boiler reported?"
            answer = json.loads(house.manage("ask", question, "--library", library, "--json").stdout)
            assert answer["state"] in {"answered", "weak", "not_in_documents"}
            house.manage("receipt", answer["turn"], "--out", str(tmp_path / "receipt"))
            receipt = json.loads((tmp_path / "receipt").read_text().split("\n\n")[0])
            assert (receipt["model"], receipt["llm_sha256"]) == ("plain", "")
            assert (receipt["params"]["backend"], receipt["params"]["exact_counts"]) == ("OpenAI API", False)
            said = house.manage("doctor", check=False).stdout
            assert "plain answers, on another server (OpenAI API), with a context of 4096 tokens." in said
        finally:
            house.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(house.url)
    assert not list(house.run.glob("*.sock"))
