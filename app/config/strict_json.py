"""JSON as RFC 8259 would have it read: UTF-8, one value, each name once, no NaN or Infinity.

Knows nothing of what the value means.
"""

from __future__ import annotations

import codecs
import json
from typing import Any, NoReturn


def loads(raw: bytes) -> Any:
    """The value `raw` spells. Raises ValueError with a sentence that says where it goes wrong."""
    if raw.startswith(codecs.BOM_UTF8):
        raise ValueError("it begins with a byte order mark")
    try:
        return _DECODER.decode(raw.decode())
    except UnicodeDecodeError as fault:
        raise ValueError(f"not UTF-8 at byte {fault.start + 1}") from None
    except json.JSONDecodeError as fault:
        raise ValueError(f"{fault.msg} at line {fault.lineno}, column {fault.colno}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {json.dumps(name[:60])} stands twice in one object")
        found[name] = value
    return found


def _integer(digits: str) -> int:
    if len(digits) > 1000:
        raise ValueError("a number has more than 1000 digits")
    return int(digits)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_constant=_constant)
