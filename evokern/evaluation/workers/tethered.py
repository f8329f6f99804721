"""Runs another module as the main program, in a process that ends with who started it (``python -m``).

    python -m evokern.evaluation.workers.tethered STARTER MODULE WORD...

The module may take seconds to import what it needs. The system is asked to end this process with its starter before
any of that, and a starter that ended even earlier is noticed: then there is nothing to do.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def tether(starter: int) -> bool:
    """Has the system kill this process once the thread that started it ends; whether `starter` is still there.

    Args:
        starter: the process id of who started this process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.getppid() == starter


def main() -> None:
    """Tethers this process and becomes the module that the command line names."""
    starter, module = int(sys.argv[1]), sys.argv[2]
    if tether(starter):
        del sys.argv[1:3]
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
