"""The site's passage index: its configuration, and how it is started and asked whether it is well.

There is no wheel with the server, so a script that shows what it was given stands in its place.
"""

from __future__ import annotations

import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from workers.answer.retrieve import MOST_CANDIDATES
from workers.engines import index

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "deploy" / "qdrant"
KEY, READ_KEY = "index-key-of-the-test-0123456789", "read-key-of-the-test-01234567890"


@pytest.fixture
def settings() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FILES / "production.yaml").read_text())
    return found


def test_it_calls_nobody_and_fetches_nothing(settings: dict[str, Any]) -> None:
    assert settings["telemetry_disabled"] is True
    assert settings["service"]["enable_snapshot_url_recovery"] is False


def test_only_the_one_door_that_we_use_is_open(settings: dict[str, Any]) -> None:
    service = settings["service"]
    assert service["http_port"] == 6333
    assert service["grpc_port"] is None
    assert service["enable_cors"] is False
    assert service["enable_static_content"] is False
    assert "metrics_port" not in service
    assert settings["cluster"]["enabled"] is False


def test_it_writes_nowhere_but_into_its_own_folder(settings: dict[str, Any]) -> None:
    """Who has a key may set where it logs to; the container's file system is read-only besides."""
    assert "logger" not in settings
    storage = settings["storage"]
    for path in (storage["storage_path"], storage["snapshots_path"]):
        assert path.startswith("/qdrant/storage")
    assert "temp_path" not in storage


def test_new_collections_are_strict_and_still_allow_what_we_ask(settings: dict[str, Any]) -> None:
    strict = settings["storage"]["collection"]["strict_mode"]
    assert strict["enabled"] is True
    assert strict["unindexed_filtering_retrieve"] is False
    assert strict["unindexed_filtering_update"] is False
    assert strict["upsert_max_batchsize"] >= index.BATCH
    # A page of a tenant's points for the comparison with the database, and the candidates of a search.
    assert strict["max_query_limit"] >= max(1000, MOST_CANDIDATES)
    assert strict["max_timeout"] >= 20


def test_every_name_in_strict_mode_is_one_of_qdrants(settings: dict[str, Any]) -> None:
    from qdrant_client import models

    assert set(settings["storage"]["collection"]["strict_mode"]) <= set(models.StrictModeConfig.model_fields)


def test_no_key_is_in_the_configuration(settings: dict[str, Any]) -> None:
    assert not {"api_key", "read_only_api_key", "alt_api_key"} & set(settings["service"])


def _start(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    server = tmp_path / "qdrant"
    server.write_text('#!/bin/sh\necho "$@"\nenv | grep QDRANT__ | sort\n')
    server.chmod(0o755)
    return subprocess.run(
        [str(FILES / "start.sh"), "--given"],
        env={"PATH": os.environ["PATH"], "SECRETS": str(tmp_path), "QDRANT": str(server)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_server_gets_both_keys_by_its_environment(tmp_path: Path) -> None:
    (tmp_path / "index_key").write_text(f"{KEY}\n")
    (tmp_path / "index_read_key").write_text(f"{READ_KEY}\n")
    assert _start(tmp_path).stdout.splitlines() == [
        "--given",
        f"QDRANT__SERVICE__API_KEY={KEY}",
        f"QDRANT__SERVICE__READ_ONLY_API_KEY={READ_KEY}",
    ]


def test_with_a_certificate_it_serves_tls(tmp_path: Path) -> None:
    for name in ("index_key", "index_read_key", "index_certificate", "index_certificate_key"):
        (tmp_path / name).write_text("something\n")
    told = _start(tmp_path).stdout
    assert "QDRANT__SERVICE__ENABLE_TLS=true" in told
    assert f"QDRANT__TLS__CERT={tmp_path}/index_certificate\n" in told
    assert f"QDRANT__TLS__KEY={tmp_path}/index_certificate_key\n" in told


@pytest.mark.parametrize("missing", ["index_key", "index_read_key"])
def test_without_a_key_it_does_not_start(missing: str, tmp_path: Path) -> None:
    for name in {"index_key", "index_read_key"} - {missing}:
        (tmp_path / name).write_text(f"{KEY}\n")
    done = _start(tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"The secret {missing} is missing or empty: run make site-secrets")


@pytest.mark.parametrize(("status", "well"), [(200, True), (503, False)])
def test_its_health_is_asked_with_the_shell_alone(status: int, well: bool) -> None:
    asked = []

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Ready)
    threading.Thread(target=server.handle_request, daemon=True).start()
    done = subprocess.run(
        [str(FILES / "healthy.sh")],
        env={"PATH": os.environ["PATH"], "PORT": str(server.server_address[1])},
        check=False,
        timeout=20,
    )
    server.server_close()
    assert asked == ["/readyz"]
    assert (done.returncode == 0) is well


def test_its_health_is_bad_while_nobody_listens() -> None:
    done = subprocess.run([str(FILES / "healthy.sh")], env={"PORT": "1"}, capture_output=True, check=False)
    assert done.returncode != 0
