"""What lies in a mapped folder, listed and opened so that nothing outside of it is ever reached.

Whoever may write there may swap a folder for a link between two looks. So every step down is opened from the
one above, and none that is a link.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from muniment.folders.models import LONGEST_PATH
from muniment.folders.services import Seen

# Somebody puts it there to show that the share is mounted.
MARKER = ".muniment"
MOST_FILES = 200_000
# What programs leave beside people's files, and what is still on its way.
_OTHERS = {"thumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "lost+found"}
_BEGINNINGS = (".", "~$", "@ea", "#recycle")
_ENDINGS = (".tmp", ".part", ".partial", ".crdownload", ".filepart")
_DOWN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A step down that is not there any more, or is a link by now.
_CHANGED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


class TooMany(Exception):
    """More files than are followed in one folder."""


@dataclass
class Listing:
    """`refused` are paths with the code of why, `closed` the folders below which nothing was seen.

    `names` are the real names of paths that are no text; `marked` says whether the marker is there.
    """

    files: dict[str, Seen] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    entries: int = 0
    marked: bool = False

    def saw(self, path: str) -> bool:
        """Whether what is not in the listing at this path is not in the folder."""
        return not path.startswith(tuple(self.closed))


@contextmanager
def opened(root: Path, way: PurePosixPath) -> Iterator[int]:
    """The folder at `way` below a root, as a descriptor. Raises `OSError` where it cannot be reached."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _below(descriptor, way.parts) as folder:
            yield folder
    finally:
        os.close(descriptor)


@contextmanager
def _below(folder: int, parts: Iterable[str]) -> Iterator[int]:
    descriptor = os.dup(folder)
    try:
        for part in parts:
            inner = os.open(part, _DOWN, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def list_files(folder: int) -> Listing:
    """Every file below. Raises `OSError` where it could not be listed whole, and `TooMany`."""
    listing = Listing()
    _list(folder, "", listing)
    return listing


def _list(folder: int, above: str, listing: Listing) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            listing.entries += 1
            listing.marked |= not above and entry.name == MARKER
            if not is_left_alone(entry.name):
                _see(folder, entry, above, listing)


def is_left_alone(name: str) -> bool:
    name = name.lower()
    return name in _OTHERS or name.startswith(_BEGINNINGS) or name.endswith(_ENDINGS)


def _see(folder: int, entry: os.DirEntry[str], above: str, listing: Listing) -> None:
    name = above + entry.name
    path = os.fsencode(name).decode(errors="backslashreplace")
    if path != name:
        listing.names[path] = name
    if len(path) >= LONGEST_PATH:
        listing.refused[path[: LONGEST_PATH - 1] + "…"] = "long_path"
        # What cannot be said whole may have been seen as something else.
        listing.closed.append(path[: LONGEST_PATH - 1])
    elif entry.is_symlink():
        listing.refused[path] = "link"
    elif entry.is_dir(follow_symlinks=False):
        _go_down(folder, entry.name, name, path, listing)
    elif entry.is_file(follow_symlinks=False):
        found = _stat(entry)
        if found:
            listing.files[path] = Seen(path, found.st_size, found.st_mtime_ns)
            if len(listing.files) > MOST_FILES:
                raise TooMany


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def _go_down(folder: int, entry: str, name: str, path: str, listing: Listing) -> None:
    try:
        inner = os.open(entry, _DOWN, dir_fd=folder)
    except PermissionError:
        listing.refused[f"{path}/"] = "no_access"
        listing.closed.append(f"{path}/")
        return
    except OSError as error:
        if error.errno not in _CHANGED:
            raise
        listing.closed.append(f"{path}/")
        return
    try:
        _list(inner, f"{name}/", listing)
    finally:
        os.close(inner)


def open_file(folder: int, name: str) -> int:
    """A file by its real path below a folder, for reading. Raises `OSError`; a link is no file."""
    path = PurePosixPath(name)
    with _below(folder, path.parent.parts) as place:
        # A pipe that took a file's place must not be waited for.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path.name, flags, dir_fd=place)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ELOOP, "no plain file")
    return descriptor


def is_gone(folder: int, name: str) -> bool:
    """Whether a path has no plain file, looked at once more. Raises `OSError` where nobody can tell."""
    path = PurePosixPath(name)
    try:
        with _below(folder, path.parent.parts) as place:
            found = os.stat(path.name, dir_fd=place, follow_symlinks=False)
    except OSError as error:
        if error.errno in _CHANGED:
            return True
        raise
    return not stat.S_ISREG(found.st_mode)


def has_changed(error: OSError) -> bool:
    """Whether something lies otherwise than when it was listed, which the next look sees."""
    return error.errno in _CHANGED


def answers(folder: int) -> bool:
    """Whether the share still lists the folder."""
    try:
        with os.scandir(folder) as entries:
            next(entries, None)
    except OSError:
        return False
    return True
