"""Pieces of the sentences that tell what is wrong with a document: short lines, whatever was sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

_LONGEST_SHOWN = 60


def shown(value: Any) -> str:
    """`value` for an error text: one short, printable line, whatever was sent."""
    if isinstance(value, Mapping | list):
        return "an object" if isinstance(value, Mapping) else "a list"
    if isinstance(value, int) and value.bit_length() > 200:
        return "a very long number"
    text = json.dumps(value[:_LONGEST_SHOWN] if isinstance(value, str) else value, default=repr)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def suggestion(given: Any, known: tuple[str, ...]) -> str:
    """`; did you mean "ratio"?` when one of `known` is near, else nothing."""
    near = get_close_matches(given[:_LONGEST_SHOWN], known, n=1) if isinstance(given, str) else []
    return f'; did you mean "{near[0]}"?' if near else ""


def as_duration(seconds: float) -> str:
    """Seconds in the largest unit that leaves a whole number: 0.05 → 50ms, 7200 → 2h."""
    millis = round(seconds * 1000)
    if not millis:
        return "0s"
    unit, size = next(
        (u, s) for u, s in (("h", 3600000), ("m", 60000), ("s", 1000), ("ms", 1)) if not millis % s
    )
    return f"{millis // size}{unit}"
