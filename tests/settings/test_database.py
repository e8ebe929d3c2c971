"""Which database the settings mean, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from muniment import database

DATA = Path("/data")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (database.URL, f"{database.PASSWORD}_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_without_an_address_it_is_sqlite_in_the_data_folder() -> None:
    assert database.default(DATA)["NAME"] == DATA / "muniment.sqlite3"


def test_an_address_names_role_host_port_and_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(database.URL, "postgresql://muniment_web@db:5433/muniment?sslmode=verify-full")
    found = database.default(DATA)
    assert [found[key] for key in ("USER", "HOST", "PORT", "NAME")] == [
        "muniment_web",
        "db",
        "5433",
        "muniment",
    ]
    assert found["OPTIONS"]["sslmode"] == "verify-full"


def test_a_socket_is_named_by_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(database.URL, "postgresql://web@/muniment?host=/run/postgresql")
    assert database.default(DATA)["HOST"] == "/run/postgresql"


def test_the_password_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a secret that is long enough\n")
    monkeypatch.setenv(database.URL, "postgresql://web@db/muniment")
    monkeypatch.setenv(f"{database.PASSWORD}_FILE", str(tmp_path / "password"))
    assert database.default(DATA)["PASSWORD"] == "a secret that is long enough"


@pytest.mark.parametrize(
    ("url", "said"),
    {
        "another server": ("mysql://web@db/muniment", "must be like postgresql://"),
        "no role": ("postgresql://db/muniment", "must be like postgresql://"),
        "no database": ("postgresql://web@db", "must be like postgresql://"),
        "no port": ("postgresql://web@db:x/muniment", "a port that is no number"),
        "a password": ("postgresql://web:secret@db/muniment", "must not hold a password"),
        "an unknown option": ("postgresql://web@db/muniment?options=-c", "unknown option options"),
    }.values(),
)
def test_other_addresses_are_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv(database.URL, url)
    with pytest.raises(ImproperlyConfigured, match=said) as refused:
        database.default(DATA)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("content", [None, ""], ids=["missing", "empty"])
def test_a_password_file_without_a_password_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv(database.URL, "postgresql://web@db/muniment")
    monkeypatch.setenv(f"{database.PASSWORD}_FILE", str(path))
    with pytest.raises(ImproperlyConfigured, match="make site-secrets"):
        database.default(DATA)
