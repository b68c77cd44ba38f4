"""How the processes log: one line an event, to stderr."""

from __future__ import annotations

import logging


def configure() -> None:
    """Send the log to stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
