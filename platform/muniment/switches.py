"""The switches that tell libraries to call nobody: asserted at the start of every process.

Libraries read them when they are imported, so `switch_on` comes before anything else. Only the child process
that fetches a model from its publisher's hub runs without the first two.
Standard library only: the engine and the readers' callers import this before their libraries.
"""

from __future__ import annotations

import os

SWITCHES = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_DATASETS_OFFLINE": "1",
    "DISABLE_SAFETENSORS_CONVERSION": "1",
    "DO_NOT_TRACK": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}
# No leak, but a warning on every fork.
QUIET = {"TOKENIZERS_PARALLELISM": "false"}
ON = {"1", "true", "yes", "on"}


class SwitchedOff(Exception):
    """Somebody set a switch to another value; the message says what to do."""


def switch_on() -> None:
    """Set every switch. Raises SwitchedOff where the environment says the opposite of one.

    Setting it right silently would leave somebody in the belief that their setting counts.
    """
    for name in SWITCHES:
        value = os.environ.get(name, "1")
        if value.lower() not in ON:
            raise SwitchedOff(
                f"{name} is set to {value!r}, which would let a library call out: Muniment does not start "
                "like that. Take it out of the environment."
            )
    os.environ.update(SWITCHES | QUIET)


def changed() -> list[str]:
    """Names of switches that are not on in this process any more."""
    return sorted(name for name, value in SWITCHES.items() if os.environ.get(name) != value)
