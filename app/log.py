"""How the processes log: one line an event, to stderr."""

from __future__ import annotations

import logging


def configure() -> None:
    """Send the log to stderr. What no line shows is not found out (see Optimization in the library's HOWTO)."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = False
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
