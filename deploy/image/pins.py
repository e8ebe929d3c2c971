"""Says what the images install: pins.py pip|torch|llama|build-tools|cmake-args|parts [EXTRA...].

There is one list, pyproject.toml, and one way to compile llama.cpp, that of deploy/setup.py.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import setup  # the folder comes first

# Any processor of the last ten years; `native` would be the builder's own.
PORTABLE = "-DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON"


def lines(what: str, extras: list[str]) -> list[str]:
    """Raises KeyError for what there is none of."""
    if what == "parts":
        return setup.requirements(extras)
    if what == "cmake-args":
        return [f"{setup.CMAKE_ARGS} {PORTABLE} {os.environ.get('CMAKE_ARGS', '')}".strip()]
    if what == "build-tools":
        return list(setup.BUILD_TOOLS)
    names = {"torch": "torch==", "llama": setup.COMPILED}
    if what == "pip":
        return [setup.PIP]
    return [line for line in setup.requirements(["embedded"]) if line.startswith(names[what])]


if __name__ == "__main__":
    try:
        sys.stdout.write("\n".join(lines(sys.argv[1], sys.argv[2:])) + "\n")
    except (IndexError, KeyError):
        sys.exit((__doc__ or "").splitlines()[0])
