"""Runs a command that ends when its parent does: python launch.py PARENT NICE COMMAND ARGUMENT...

A process of its own that becomes the command, so that nothing has to run between fork and exec of
a parent that has threads. Standard library only; it starts in some milliseconds.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, nice, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit("The parent ended before this process could start.")
    os.nice(int(nice))
    os.execvp(command[0], command)  # noqa: S606 - this process becomes the command, that is its job


if __name__ == "__main__":
    main()
