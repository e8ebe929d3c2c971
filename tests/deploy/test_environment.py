"""What the environment may say, and the sentence that each wrong value gets."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from muniment import environment
from muniment.environment import Root
from muniment.jobs import broker

ROOT = Path(__file__).resolve().parents[2]
SECRET = "Zq8-long-and-random-enough-of-course"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that MUNIMENT_THING_FILE names and that holds a secret."""
    path = tmp_path / "thing"
    path.write_text(f"{SECRET}\n")
    monkeypatch.setenv("MUNIMENT_THING_FILE", str(path))
    return path


def test_a_word_is_the_first_or_another_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.one_of("MUNIMENT_THING", "auto", "float32") == "auto"
    monkeypatch.setenv("MUNIMENT_THING", "float32")
    assert environment.one_of("MUNIMENT_THING", "auto", "float32") == "float32"
    monkeypatch.setenv("MUNIMENT_THING", "float64")
    with pytest.raises(ImproperlyConfigured, match="MUNIMENT_THING must be auto or float32, not 'float64'"):
        environment.one_of("MUNIMENT_THING", "auto", "float32")


def test_a_secret_comes_from_the_file_that_is_named(file: Path) -> None:
    assert environment.secret("MUNIMENT_THING") == SECRET


def test_a_secret_may_be_given_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_THING", SECRET)
    assert environment.secret("MUNIMENT_THING") == SECRET


def test_a_secret_that_nobody_set_is_empty() -> None:
    assert environment.secret("MUNIMENT_THING") == ""


def test_a_secret_in_both_places_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_THING", SECRET)
    with pytest.raises(ImproperlyConfigured, match="both set: keep MUNIMENT_THING_FILE"):
        environment.secret("MUNIMENT_THING")


def test_a_missing_file_is_told_with_the_command_that_makes_it(file: Path) -> None:
    file.unlink()
    with pytest.raises(ImproperlyConfigured, match=r"is not there: run `make site-secrets`"):
        environment.secret("MUNIMENT_THING")


def test_a_file_that_cannot_be_read_is_told(file: Path) -> None:
    file.unlink()
    file.mkdir()
    with pytest.raises(ImproperlyConfigured, match=r"cannot be read \(Is a directory\): give the file"):
        environment.secret("MUNIMENT_THING")


def test_an_empty_file_is_told(file: Path) -> None:
    file.write_text(" \n")
    with pytest.raises(ImproperlyConfigured, match=r"is empty: remove it and run `make site-secrets`"):
        environment.secret("MUNIMENT_THING")


def test_a_weak_secret_is_refused_and_not_repeated(file: Path) -> None:
    file.write_text("hunter2")
    with pytest.raises(ImproperlyConfigured, match="shorter than 24 characters") as refused:
        environment.secret("MUNIMENT_THING")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("changeme-by-the-administrator-01", "is a placeholder"),
        ("The-Password-of-the-database-42", "is a placeholder"),
        ("abcdefghabcdefghabcdefghabcdefgh", "repeats itself"),
        ("0" * 43, "repeats itself"),
    ],
)
def test_a_secret_that_can_be_guessed_is_refused(file: Path, given: str, why: str) -> None:
    file.write_text(given)
    with pytest.raises(ImproperlyConfigured, match=f"{why}, so it could be guessed") as refused:
        environment.secret("MUNIMENT_THING")
    assert given not in str(refused.value)


def test_secrets_that_are_made_are_never_taken_for_guessable_ones(file: Path) -> None:
    for make in (secrets.token_urlsafe, secrets.token_hex):
        for _each in range(100):
            file.write_text(make(32))
            assert environment.secret("MUNIMENT_THING")


@pytest.mark.parametrize(
    "url",
    [
        "unix:/run/valkey.sock",
        "redis://valkey:6379/0",
        "redis://127.0.0.1:6379/0",
        "redis://[::1]:6379/0",
        "rediss://valkey.example.org:6380/0",
    ],
)
def test_an_address_is_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_BROKER_URL", url)
    assert environment.address("MUNIMENT_BROKER_URL", "", "redis", "rediss") == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("valkey:6379", "must be like unix:/path, redis://host:port or rediss://host:port"),
        ("http://valkey:6379", "must be like"),
        ("redis://", "must be like"),
        ("redis://valkey:none/0", "is no address"),
        ("redis://:hush@valkey:6379/0", "must not hold a password"),
        ("redis://valkey.example.org:6379/0", "over the network unprotected: use rediss://"),
        ("redis://10.0.0.7:6379/0", "over the network unprotected"),
        ("redis://[fd00::7]:6379/0", "over the network unprotected"),
    ],
)
def test_an_address_is_refused(url: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_BROKER_URL", url)
    with pytest.raises(ImproperlyConfigured, match=why) as refused:
        environment.address("MUNIMENT_BROKER_URL", "", "redis", "rediss")
    assert "hush" not in str(refused.value)


def test_a_part_on_the_network_must_have_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match="name the file with MUNIMENT_THING_FILE"):
        environment.secret_for("MUNIMENT_THING", "http://qdrant:6333")
    monkeypatch.setenv("MUNIMENT_THING", SECRET)
    assert environment.secret_for("MUNIMENT_THING", "http://qdrant:6333") == SECRET


@pytest.mark.parametrize("url", ["unix:/run/index.sock", "http://127.0.0.1:6333"])
def test_a_part_on_this_machine_needs_none(url: str) -> None:
    assert environment.secret_for("MUNIMENT_THING", url) == ""


def test_host_and_port_to_listen_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.listening("MUNIMENT_THING") is None
    monkeypatch.setenv("MUNIMENT_THING", "0.0.0.0:8090")
    assert environment.listening("MUNIMENT_THING") == ("0.0.0.0", 8090)


@pytest.mark.parametrize("given", ["8090", ":8090", "engine:", "engine:http", "engine:70000"])
def test_what_cannot_be_listened_on_is_told(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_THING", given)
    with pytest.raises(ImproperlyConfigured, match=r"must be like 0\.0\.0\.0:8090"):
        environment.listening("MUNIMENT_THING")


def test_the_brokers_password_is_in_the_address_that_celery_gets_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from django.conf import settings

    monkeypatch.setattr(settings, "BROKER_URL", "redis://valkey:6379/0")
    monkeypatch.setattr(settings, "BROKER_USER", "web")
    monkeypatch.setattr(settings, "BROKER_PASSWORD", "a/b@c:d and more")
    assert broker.celery_url() == "redis://web:a%2Fb%40c%3Ad%20and%20more@valkey:6379/0"
    assert "and%20more" not in settings.BROKER_URL
    told = broker.async_client().connection_pool.connection_kwargs
    assert (told["username"], told["password"]) == ("web", "a/b@c:d and more")


def test_celery_checks_the_certificate_of_a_broker_with_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.conf import settings

    monkeypatch.setattr(settings, "BROKER_URL", "rediss://valkey.example.org:6380/0")
    monkeypatch.setattr(settings, "BROKER_PASSWORD", SECRET)
    assert broker.celery_url().endswith("/0?ssl_cert_reqs=required")


def _up(tmp_path: Path, *names: str, **changed: str) -> subprocess.CompletedProcess[str]:
    places = {
        "MUNIMENT_DATA": str(tmp_path / "data"),
        "MUNIMENT_RUN": str(tmp_path / "run"),
        "MUNIMENT_MODELS": str(tmp_path / "models"),
    }
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "up", *names],
        env={**os.environ, **places, **changed},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"MUNIMENT_SECRET_KEY_FILE": "/nowhere"}, "run `make site-secrets`"),
        ({"MUNIMENT_BROKER_URL": "redis://valkey:6379/0"}, "MUNIMENT_BROKER_PASSWORD_FILE"),
        ({"MUNIMENT_INDEX_URL": "http://qdrant:6333"}, "MUNIMENT_INDEX_KEY_FILE"),
        ({"MUNIMENT_INDEX_URL": "http://10.0.0.7:6333"}, "use https://"),
        ({"MUNIMENT_TLS": "1"}, "set MUNIMENT_HOSTS"),
        ({"MUNIMENT_ENGINE_LISTEN": "8090"}, "must be like 0.0.0.0:8090"),
        ({"MUNIMENT_KV_TYPE": "q8_0"}, "MUNIMENT_FLASH_ATTENTION=on"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_part_does_not_start_with_it_and_says_in_one_sentence_what_to_change(
    changed: dict[str, str], said: str, tmp_path: Path
) -> None:
    refused = _up(tmp_path, "web", **changed)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert refused.stdout == ""


def test_an_engine_that_listens_on_the_network_is_a_part_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.conf import settings

    from workers import processes
    from workers.engines import catalogue

    monkeypatch.setattr(settings, "ENGINE_LISTEN", ("0.0.0.0", 8090))
    monkeypatch.setattr(settings, "ENGINE_URL", "http://127.0.0.1:8090")
    monkeypatch.setattr(catalogue, "path_of", lambda name: tmp_path / name)
    (engine,) = processes.table("engine")
    command = " ".join(engine.command)
    assert "--host 0.0.0.0 --port 8090" in command
    assert "--uds" not in command
    assert engine.sockets == ()


def test_the_engine_is_told_how_much_it_may_have_in_mind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.conf import settings

    from workers import processes
    from workers.engines import catalogue
    from workers.engines.engine_server import _options

    changed = {"ENGINE_PARALLEL": 3, "CONTEXT_TOGETHER": 5000, "FLASH_ATTENTION": "on", "KV_TYPE": "q8_0"}
    for name, value in changed.items():
        monkeypatch.setattr(settings, name, value)
    monkeypatch.setattr(catalogue, "path_of", lambda name: tmp_path / name)
    told = _options(processes.table("engine")[0].command[3:])
    assert (told.parallel, told.cells, told.flash_attention, told.kv_type) == (3, 5000, True, "q8_0")


def test_an_engine_elsewhere_is_none_of_ours(tmp_path: Path) -> None:
    refused = _up(tmp_path, "engine", MUNIMENT_ENGINE_URL="http://engine:8090")
    assert "There are: valkey, index, web, ingest, answer, upkeep, sequencer." in refused.stderr


def _roots(given: str, monkeypatch: pytest.MonkeyPatch, data: Path = Path("/data")) -> tuple[Root, ...]:
    monkeypatch.setenv("MUNIMENT_THING", given)
    return environment.roots("MUNIMENT_THING", data)


def test_roots_of_folders_that_may_be_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _roots("", monkeypatch) == ()
    assert _roots("/srv/a, north=/srv/b", monkeypatch) == (
        Root("", Path("/srv/a")),
        Root("north", Path("/srv/b")),
    )


@pytest.mark.parametrize("given", ["srv", "north=srv", "/srv/../etc", "/", "north="])
def test_a_root_that_is_no_folder_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match="must be like /srv/shares"):
        _roots(given, monkeypatch)


@pytest.mark.parametrize("data", ["", "above", "root/below"])
def test_a_root_has_nothing_to_do_with_the_data_folder(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "above" / "root" / "below").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "above" / "root")
    place = tmp_path / "above" if data == "above" else tmp_path / "above" / data
    for root in (tmp_path / "above" / "root", link):
        if data == "":
            assert _roots(str(root), monkeypatch, tmp_path / "elsewhere")
            continue
        with pytest.raises(ImproperlyConfigured, match="has to do with the data folder"):
            _roots(str(root), monkeypatch, place)
