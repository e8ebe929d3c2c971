"""Reads the headers of GGUF files: python -m workers.engines.gguf_trial FILE...

Prints as JSON what they say of the model. A process of its own, in which only the files are open before it
walls itself in: no other file, no socket, little memory and time. Exit code 3 with a sentence on stderr: they
are no model.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from workers import walls
from workers.engines import children
from workers.engines.errors import NotAModel
from workers.engines.gguf_header import Header, Tensor, header_of
from workers.engines.gguf_parts import joined

UNUSABLE = 3
SECONDS, CPU_SECONDS = 600, 60
MEMORY = 1024 * 2**20


def try_model(parts: Sequence[Path]) -> Header:
    """The header of the model that these files are, read in a process of its own. Raises `NotAModel`."""
    try:
        done = subprocess.run(
            children.command("workers.engines.gguf_trial", *parts),
            env=children.environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotAModel("The model file cannot be read in time. Fetch it again.") from None
    if done.returncode == UNUSABLE:
        raise NotAModel(done.stderr.strip())
    if done.returncode:
        raise NotAModel("The model file cannot be read: it is damaged, or not open to this account.")
    said = json.loads(done.stdout)
    tensors = tuple(Tensor(**{**one, "dimensions": tuple(one["dimensions"])}) for one in said.pop("tensors"))
    return Header(**said, tensors=tensors)


def main() -> int:
    with ExitStack() as stack:
        files = [stack.enter_context(Path(name).open("rb")) for name in sys.argv[1:]]
        for kind, most in (
            (resource.RLIMIT_AS, MEMORY),
            (resource.RLIMIT_CPU, CPU_SECONDS),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(kind, (most, most))
        walls.leave_network()
        walls.only_files()
        walls.no_sockets()
        try:
            header = joined([header_of(file) for file in files])
        except NotAModel as error:
            sys.stderr.write(f"{error}\n")
            return UNUSABLE
    sys.stdout.write(json.dumps(asdict(header)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
