"""The addresses that are written in what is installed, and in our own code: where code could call to.

`python -m tests.security.addresses NAME` prints what `accepted_addresses.toml` would have of a package.

Read are Python's string constants (comments and docstrings lead nowhere), native code, scripts, pages and
configuration. Tests of libraries, pictures, schemas and translations are left out: nothing runs them.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePath
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
ACCEPTED = Path(__file__).with_name("accepted_addresses.toml")
OURS = "muniment"
OUR_FOLDERS = ("platform", "workers", "deploy")
DEFAULT = ("", "embedded", "site")

ADDRESS = re.compile(rb"(?:https?|wss?|ftps?)://([A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z]{2,})")
# Where products report to their makers; looked for without a scheme too, which may be added at run time.
REPORTING = {
    *("posthog.com", "sentry.io", "mixpanel.com", "amplitude.com", "segment.io", "bugsnag.com"),
    *("rollbar.com", "honeycomb.io", "statsig.com", "scarf.sh", "datadoghq.com", "nr-data.net"),
    *("google-analytics.com", "googletagmanager.com", "data.microsoft.com", "telemetry.qdrant.io"),
    *(
        "stats.vllm.ai",
        "smith.langchain.com",
        "telemetry.crewai.com",
        "api.wandb.ai",
        "checkip.amazonaws.com",
    ),
}
TEXTS = {".js", ".mjs", ".css", ".html", ".json", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".jinja", ".sh"}
OUR_TEXTS = TEXTS | {".svg", ".md", ".sql", ".conf", ".acl", "", ".example", ".txt"}
UNUSED = {"tests", "test", "testing"}
NATIVE = b"\x7fELF"

Found = dict[str, set[str]]


def installed(extras: Iterable[str] = DEFAULT) -> dict[str, Distribution]:
    """What these extras of pyproject.toml bring, by name, as far as it is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    wanted = [Requirement(line) for extra in extras for line in lists[extra]]
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonical(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                found[name] = distribution(name)
            except PackageNotFoundError:
                continue
            needs = [Requirement(line) for line in found[name].requires or []]
            wanted += [need for need in needs if not need.marker or need.marker.evaluate({"extra": extra})]
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def digest(package: Distribution) -> str:
    """Stands for the bytes of everything that is read of a package; "" where its list has no hashes."""
    listed = {str(file): file.hash.value for file in package.files or [] if file.hash and _is_read(file)}
    return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()[:16] if listed else ""


def of_package(package: Distribution) -> Found:
    """Each host that a package's files name, with the files."""
    files = {
        str(file): Path(str(package.locate_file(file))) for file in package.files or [] if _is_read(file)
    }
    return _hosts((name, path) for name, path in files.items() if path.suffix or _is_program(path))


def of_ours() -> Found:
    files = (path for folder in OUR_FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file())
    ours = (path for path in files if path.suffix in OUR_TEXTS | {".py"} and "secrets" not in path.parts)
    return _hosts((str(path.relative_to(ROOT)), path) for path in sorted(ours))


def _is_read(file: PurePath) -> bool:
    # What lies outside of the packages' folder, commands, names the environment that it was made for.
    folders = set(file.parts[:-1])
    if folders & UNUSED or file.parts[0].endswith((".dist-info", "..")):
        return False
    return file.suffix in TEXTS | {".py", ""} or ".so" in file.suffixes


def _is_program(path: Path) -> bool:
    """Of files without an ending; the others are licences and notes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4).startswith((NATIVE, b"#!"))


def _hosts(files: Iterable[tuple[str, Path]]) -> Found:
    found: Found = defaultdict(set)
    for name, path in files:
        for host in of_file(path) if path.is_file() else ():
            found[host].add(name)
    return found


def of_file(path: Path) -> set[str]:
    content = path.read_bytes()
    if path.suffix == ".py":
        # Reading a file as Python takes long; most name no host even in their comments.
        content = b"\n".join(_constants(content)) if _in(content) else b""
    return _in(content)


def _in(content: bytes) -> set[str]:
    # Plain words are searched for first: native code is large and mostly names no host.
    urls = ADDRESS.findall(content) if b"://" in content else []
    hosts = {host.decode().lower().rstrip(".") for host in urls}
    return hosts | {host for host in REPORTING if host.encode() in content}


def _constants(content: bytes) -> Iterator[bytes]:
    """Strings of Python code that are values, so neither docstrings nor comments."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        yield content  # a template of code: read as it is
        return
    loose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in loose:
            if isinstance(node.value, str):
                yield node.value.encode(errors="replace")
            elif isinstance(node.value, bytes):
                yield node.value


class Accepted:
    """What was reviewed: hosts by package, and the digests of packages that need no second look."""

    def __init__(self, text: str) -> None:
        told = tomllib.loads(text)
        self.packages: dict[str, dict[str, Any]] = told["packages"]
        self.files: dict[str, str] = told["files"]

    def unreviewed(self, name: str, found: Found) -> list[str]:
        """A line for each host that was not accepted of this package."""
        entry = self.packages.get(name, {})
        patterns = [*entry.get("pages", []), *entry.get("calls", [])]
        return [
            f"{name} names {host} in {min(files)}"
            for host, files in sorted(found.items())
            if not any(fnmatch(host, pattern) for pattern in patterns)
        ]


def accepted() -> Accepted:
    return Accepted(ACCEPTED.read_text())


def main(name: str) -> None:
    package = installed()[name]
    print(f'{name} = "{digest(package)}"', json.dumps(sorted(of_package(package)), indent=1), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1])
