"""`manage.py evaluate` beside a running installation: what it measures, keeps, writes and leaves alone."""

from __future__ import annotations

import json
import math
import re
import shutil
import sqlite3
import subprocess
from argparse import ArgumentTypeError
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.make import pdf
from tests.running import RunningHouse
from workers.evaluate.run import Value
from workers.management.commands.evaluate import floor, missed

SUBJECTS = ["boiler", "canteen", "garage", "archive", "chapel", "laundry"]


@pytest.fixture(scope="module")
def lamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six documents, a question about each, one that none answers, and one of a document that is chosen."""
    folder = tmp_path_factory.mktemp("sets") / "lamps"
    folder.mkdir()
    corpus = [
        {"id": name, "title": f"The {name}", "text": f"The lamp of the {name} is lit at {hour} o'clock."}
        for hour, name in enumerate(SUBJECTS, 4)
    ]
    queries: list[dict[str, Any]] = [
        {
            "id": f"q-{name}",
            "question": f"When is the lamp of the {name} lit?",
            "evidence": [{"doc": name, "text": "is lit at"}],
        }
        for name in SUBJECTS
    ]
    queries.append({"id": "none", "question": "Who pays for taxis?", "answerable": False})
    queries.append({"id": "one", "question": "When is the lamp lit?", "scope": "garage"})
    _write(folder / "corpus.jsonl", corpus)
    _write(folder / "queries.jsonl", queries)
    qrels = [f"q-{name}\t{name}\t1" for name in SUBJECTS]
    (folder / "qrels.tsv").write_text("\n".join(["query-id\tdoc-id\tscore", *qrels]) + "\n")
    return folder


def _write(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")


def evaluate(
    house: RunningHouse, folder: Path, *args: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    return house.manage("evaluate", str(folder), *args, check=check)


def measured(house: RunningHouse, folder: Path, *args: str) -> dict[str, Any]:
    out = folder.parent / "found.json"
    evaluate(house, folder, "--json", str(out), *args)
    return json.loads(out.read_text())


def test_what_is_written_gives_the_figures_that_are_printed(house: RunningHouse, lamps: Path) -> None:
    run, passages = lamps.parent / "lamps.run", lamps.parent / "lamps.passages"
    found = measured(house, lamps, "--run", str(run), "--passages", str(passages))
    assert (found["documents"], found["questions"], found["unread"]) == (6, 8, [])
    assert found["ingest"]["documents"] == 6

    lines: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for line in run.read_text().splitlines():
        query, document, rank, _score, page = line.split("\t")
        assert page == "1"
        lines[query].append((int(rank), document))
    ndcg = []
    for name in SUBJECTS:
        ranks = [rank for rank, document in lines[f"q-{name}"] if document == name]
        ndcg.append(1 / math.log2(ranks[0] + 1) if ranks and ranks[0] <= 10 else 0)
    assert found["systems"]["Muniment"]["ndcg@10"]["mean"] == pytest.approx(sum(ndcg) / 6, abs=1e-6)
    assert [document for _rank, document in lines["one"]] == ["garage"]

    shown = {row["id"]: row["passages"] for row in map(json.loads, passages.read_text().splitlines())}
    assert shown["one"] == [
        {"doc": "garage", "page": 1, "text": "The lamp of the garage is lit at 6 o'clock."}
    ]
    assert found["systems"]["Muniment"]["evidence@10"] == {"mean": 1.0, "questions": 6}


def test_only_what_changed_is_ingested_again_and_what_vanished_is_removed(
    house: RunningHouse, lamps: Path, tmp_path: Path
) -> None:
    evaluate(house, lamps, "--limit", "1")
    changed = tmp_path / "lamps"
    shutil.copytree(lamps, changed)
    rows = [json.loads(line) for line in (changed / "corpus.jsonl").read_text().splitlines()]
    rows[0]["text"] = "The boiler has no lamp."
    _write(changed / "corpus.jsonl", rows[:-1])
    (changed / "qrels.tsv").unlink()
    passages = tmp_path / "passages"
    out = tmp_path / "found.json"
    done = evaluate(house, changed, "--passages", str(passages), "--json", str(out))
    # Compared with the run before, over the one question that both asked.
    (row,) = re.findall(r"^evidence@10 +1\.000 +(\S+) +(\d+) +(\d+) +(\d+)", done.stdout, re.MULTILINE)
    assert row == ("0.000", "0", "1", "0")
    found = json.loads(out.read_text())
    assert (found["ingest"]["documents"], found["documents"]) == (1, 5)
    shown = passages.read_text()
    assert "The boiler has no lamp." in shown and "boiler is lit" not in shown and "laundry is" not in shown


@pytest.mark.deep
def test_pages_that_hold_the_evidence_are_found_and_yardsticks_beside(
    house: RunningHouse, tmp_path: Path
) -> None:
    folder = tmp_path / "reports"
    (folder / "files").mkdir(parents=True)
    texts = [f"The {name} cost {n} thousand last year." for n, name in enumerate(SUBJECTS, 1)]
    filling = [(72, 680 - 15 * n, 11, f"Line {n} tells in so many words else was paid.") for n in range(20)]
    (folder / "files" / "report.pdf").write_bytes(pdf([[(72, 700, 11, text), *filling] for text in texts]))
    (folder / "files" / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    evidence = [{"doc": "report.pdf", "page": 3, "text": texts[2]}, {"doc": "report.pdf", "page": 5}]
    _write(folder / "queries.jsonl", [{"id": "q", "question": "What cost the garage?", "evidence": evidence}])
    found = measured(house, folder, "--baselines")
    assert found["unread"] == ["broken.pdf"]
    names = [f"{name}, {cut}" for cut in ("passages", "windows") for name in ("BM25", "embedder", "RRF")]
    assert list(found["systems"]) == ["Muniment", *names]
    for system in ("Muniment", "BM25, passages", "RRF, passages"):
        assert found["systems"][system]["page-hit@5"]["mean"] == 1.0
    assert "all-evidence@10" in found["systems"]["Muniment"]


def test_a_step_of_the_ranking_is_left_out_for_one_measurement_alone(
    house: RunningHouse, lamps: Path
) -> None:
    whole, words_alone = measured(house, lamps), measured(house, lamps, "--without", "meaning")
    assert (whole["without"], words_alone["without"]) == ([], ["meaning"])
    both = measured(house, lamps, "--without", "words", "--without", "names")
    assert both["without"] == ["names", "words"]
    run = lamps.parent / "steps.run"

    def scores(*args: str) -> list[str]:
        evaluate(house, lamps, "--run", str(run), *args)
        return [line.split("\t")[3] for line in run.read_text().splitlines()]

    assert scores("--without", "meaning") != scores()
    # Nothing of it is kept, so the next run is compared with the last whole one.
    again = evaluate(house, lamps).stdout
    assert "since" in again and " noise" not in again
    assert evaluate(house, lamps, "--without", "luck", check=False).returncode != 0
    refused = house.manage("evaluate", "--library", "handbook", "--without", "names", check=False)
    assert refused.returncode != 0 and "--without is for data sets" in refused.stderr


def test_the_model_is_asked_as_people_ask_and_plainly(house: RunningHouse, lamps: Path) -> None:
    out = lamps.parent / "answers.jsonl"
    for mode in ("answer", "quote", "plain"):
        asked = ["--answers", str(out), "--mode", mode, "--prompt-tokens", "400", "--limit", "4"]
        found = measured(house, lamps, *asked)
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert [row["id"] for row in rows] == [
            f"q-{SUBJECTS[0]}",
            f"q-{SUBJECTS[2]}",
            f"q-{SUBJECTS[4]}",
            "none",
        ]
        for row in rows:
            assert row["abstained"] == (row["state"] == "not_in_documents")
            assert row["prompt_tokens"] <= 400 and row["seconds"]["total"] >= 0
            assert all(cited["text"].startswith("The ") for cited in row["citations"])
            if mode == "quote":
                shown = row["answer"].split("\n\n") if row["answer"] else []
                assert set(shown) == {cited["text"] for cited in row["citations"]}
        assert {"answered", "refused"} <= found["systems"]["Muniment"].keys()
    assert any(row["answer"] for row in rows)


def test_questions_of_one_folder_are_asked_over_anothers_documents(
    house: RunningHouse, lamps: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "absent"
    folder.mkdir()
    _write(folder / "queries.jsonl", [{"id": "x", "question": "Is there a lamp in the tower?"}])
    done = evaluate(house, folder, "--over", str(lamps), "--fail-below", "ndcg@10=0.1", check=False)
    assert "lamps: 6 documents" in done.stdout
    assert "No question has judgements here" in done.stdout
    assert done.returncode == 1 and "No question here has what ndcg@10 needs." in done.stderr


def test_a_measure_below_its_floor_fails_with_a_sentence() -> None:
    values = {"ndcg@10": Value(0.61234, 8), "mrr@10": Value(0.5, 8)}
    assert missed([("ndcg@10", 0.7), ("mrr@10", 0.5)], values) == ["ndcg@10 is 0.612, below 0.7."]
    assert missed([("mrr@10", 0.1)], values) == []
    for text in ("luck=1", "ndcg@10=much"):
        with pytest.raises(ArgumentTypeError):
            floor(text)
    assert floor("nDCG@10=0.4") == ("ndcg@10", 0.4)


def test_people_see_nothing_of_it_and_it_can_be_removed(house: RunningHouse, lamps: Path) -> None:
    assert "lamps" not in house.client("admin").get("/console/libraries").text

    def ask(query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(house.data / "muniment.sqlite3")) as database:
            return database.execute(query).fetchall()

    own = ask("SELECT id FROM tenancy_tenant WHERE slug = 'evaluation'")
    assert ask("SELECT DISTINCT tenant FROM audit_private WHERE value IN ('lamps', 'garage.html')") == own
    assert own[0] not in ask("SELECT DISTINCT tenant_id FROM accounts_person")

    assert "are being removed" in evaluate(house, lamps, "--remove").stdout
    assert ask(
        "SELECT count(*) FROM documents_document WHERE name = 'garage.html' AND deleted_at IS NULL"
    ) == [(0,)]
