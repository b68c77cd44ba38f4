"""How the processes log: one line an event, to stderr."""

from __future__ import annotations

import logging


def configure(*, shared: bool = False) -> None:
    """Send the log to stderr. `shared`: others log in this process too, in a form of their own.

    What no line of ours shows is not found out for it, as the library's HOWTO has it under Optimization.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if not shared:
        logging._srcfile = None
        logging.logThreads = logging.logProcesses = False
