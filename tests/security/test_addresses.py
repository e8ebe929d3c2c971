"""No package names a host that nobody has looked at: the next version of one may bring a way home."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from tests.security import addresses
from tests.security.addresses import Accepted, accepted, canonical, digest, of_package
from workers.engines import catalogue
from workers.upkeep import bom

# For graphics cards; what they bring depends on the card and is not pinned.
FOR_CARDS = ("nvidia-", "cuda-", "triton")


def test_no_package_names_a_host_that_was_not_reviewed() -> None:
    reviewed = accepted()
    found = [
        line
        for name, package in sorted(addresses.installed().items())
        if not name.startswith(FOR_CARDS) and digest(package) != reviewed.files.get(name)
        for line in reviewed.unreviewed(name, of_package(package))
    ]
    assert not found, "\n".join(found)


@pytest.mark.deep
def test_the_digests_stand_for_the_files_that_are_here() -> None:
    """Everything is read, also what the digests say was read before; the files are those of the wheels."""
    reviewed = accepted()
    packages = addresses.installed()
    found = [line for name in packages for line in reviewed.unreviewed(name, of_package(packages[name]))]
    changed = [
        f"{name}: {file}"
        for name, package in packages.items()
        for file in package.files or []
        if file.hash and file.hash.mode == "sha256" and file.suffix != ".pyc"
        if _sha256(Path(str(package.locate_file(file)))) != file.hash.value
    ]
    assert not found + changed, "\n".join(found + changed)


def _sha256(path: Path) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()


def test_our_own_code_and_pages_name_no_host_that_was_not_reviewed() -> None:
    found = accepted().unreviewed(addresses.OURS, addresses.of_ours())
    assert not found, "\n".join(found)


def test_what_may_call_says_why_it_does_not() -> None:
    for name, entry in accepted().packages.items():
        assert set(entry) <= {"pages", "calls", "why"}, name
        if "calls" in entry or "*" in entry.get("pages", []):
            assert entry["why"].endswith("."), name


def test_nothing_is_accepted_of_what_is_not_installed() -> None:
    reviewed = accepted()
    assert set(reviewed.packages) | set(reviewed.files) <= set(addresses.installed()) | {addresses.OURS}


@pytest.fixture
def planted(tmp_path: Path) -> Distribution:
    """A package that names a host in each kind of file, and some where nothing would call it."""
    contents = {
        "spy/__init__.py": b'"""See https://docstring.example."""\n# https://comment.example\nHOME = "https://x/"\n',
        "spy/home.py": b'def call():\n    """https://docstring.example"""\n    get("https://python.example:8443/v1")\n',
        "spy/late.py": b"import base\nURL = '://'.join(['https', 'telemetry.qdrant.io'])\n",
        "spy/native.cpython-311-x86_64-linux-gnu.so": b"\x7fELF\0\0https://native.example/collect\0\0",
        "spy/bin/agent": b"\x7fELF\0\0wss://program.example/\0",
        "spy/page.js": b"fetch('https://Script.Example/x')",
        "spy/tests/test_spy.py": b"URL = 'https://test.example'",
        "spy/picture.png": b"https://picture.example",
    }
    info = tmp_path / "spy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spy\nVersion: 1.0\n")
    lines = []
    for name, content in contents.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        lines.append(f"{name},sha256={_sha256(path)},{len(content)}")
    (info / "RECORD").write_text("\n".join(lines))
    return PathDistribution(info)


def test_hosts_are_found_where_something_would_call_them(planted: Distribution) -> None:
    assert {host: min(files) for host, files in of_package(planted).items()} == {
        "python.example": "spy/home.py",
        "telemetry.qdrant.io": "spy/late.py",
        "native.example": "spy/native.cpython-311-x86_64-linux-gnu.so",
        "program.example": "spy/bin/agent",
        "script.example": "spy/page.js",
    }


def test_a_new_host_is_told_with_its_package_and_file(planted: Distribution) -> None:
    known = '[packages.spy]\npages = ["*.example"]\n[files]\nspy = "0"\n'
    told = Accepted(known).unreviewed("spy", of_package(planted))
    assert told == ["spy names telemetry.qdrant.io in spy/late.py"]


def test_a_changed_file_changes_the_digest(planted: Distribution, tmp_path: Path) -> None:
    before = digest(planted)
    record = tmp_path / "spy-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text().replace("sha256=", "sha256=x", 1))
    assert before != digest(PathDistribution(record.parent))


def _pins() -> dict[str, str]:
    lines = (addresses.ROOT / "deploy" / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def _unpinned(components: dict[str, str]) -> list[str]:
    """What is in a bill of materials at another version than was tried, or without one."""
    pins = _pins()
    return sorted(
        f"{name} {version}" for name, version in components.items() if pins.get(name) != version.split("+")[0]
    )


def test_the_bill_lists_what_is_declared_at_the_versions_that_were_tried() -> None:
    bill = json.loads(bom.bill(catalogue.models()))
    listed = {part["name"]: part["version"] for part in bill["components"] if part["type"] == "library"}
    declared = [name for name in addresses.installed() if not name.startswith(FOR_CARDS)]
    assert set(declared) <= set(listed)
    assert _unpinned({name: listed[name] for name in declared}) == []


def test_a_component_that_nobody_declared_is_told() -> None:
    assert _unpinned({"django": _pins()["django"], "posthog": "1.0"}) == ["posthog 1.0"]
    assert _unpinned({"django": "0.1"}) == ["django 0.1"]


def test_names_are_compared_in_one_spelling() -> None:
    assert canonical("Charset_Normalizer.X") == "charset-normalizer-x"
