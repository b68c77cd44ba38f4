"""Patterns for decimal texts within a bound, since JSON Schema can bound numbers only, not texts like "250ms".

A text is `[0-9]+(\\.[0-9]+)?`. The bound is met exactly, digit by digit: no float comes near it. Pure.
"""

from __future__ import annotations

from fractions import Fraction

_DIGITS = 40
_REST = "[0-9]*"
_FRACTION = r"(?:\.[0-9]+)?"


def at_least(bound: Fraction) -> str:
    """What fits a decimal text of this value (from 0 on) or more. Raises ValueError, see `_expansion`."""
    whole, digits, repeated = _expansion(bound)
    forms = [f"0*[1-9]{_any(len(whole), 'or more')}{_FRACTION}"]
    forms += [f"0*{text}{_any(left)}{_FRACTION}" for text, left in _above(whole)]
    if not digits and repeated == "0":
        forms.append(f"{_same(whole)}{_FRACTION}")
    else:
        behind = [text + _REST for text, _ in _above(digits)]
        behind += [digits + _REST] if repeated == "0" else []
        behind += [f"{digits}{repeated}*{text}{_REST}" for text, _ in _above(repeated) if repeated != "0"]
        forms.append(rf"{_same(whole)}\.{_either(behind)}")
    return _either(forms)


def at_most(bound: Fraction) -> str:
    """The same for this value or less."""
    whole, digits, repeated = _expansion(bound)
    forms = [f"0*[0-9]{{1,{len(whole) - 1}}}{_FRACTION}"] if len(whole) > 1 else []
    forms += [f"0*{text}{_any(left)}{_FRACTION}" for text, left in _below(whole)]
    behind = [text + _REST for text, _ in _below(digits)]
    behind += [digits[:end] for end in range(1, len(digits))]
    behind += [f"{digits}{repeated}*(?:{text}{_REST})?" for text, _ in _below(repeated)] or [f"{digits}0*"]
    forms.append(rf"{_same(whole)}(?:\.{_either(behind)})?")
    return _either(forms)


def _expansion(value: Fraction) -> tuple[str, str, str]:
    """The digits before the point, none for 0; those after it; and the one that goes on for ever ("0": none).

    Raises ValueError when more than one digit repeats.
    """
    whole, rest = divmod(value.numerator, value.denominator)
    digits = ""
    for _ in range(_DIGITS):
        before = rest
        digit, rest = divmod(rest * 10, value.denominator)
        if rest == before:
            return str(whole or ""), digits, str(digit)
        digits += str(digit)
    raise ValueError(f"{value} has no decimal expansion that ends or repeats one digit")


def _above(digits: str) -> list[tuple[str, int]]:
    """Beginnings that make any number of as many digits larger, each with how many digits follow."""
    places = [(place, int(digit)) for place, digit in enumerate(digits) if digit != "9"]
    return [(f"{digits[:place]}[{digit + 1}-9]", len(digits) - place - 1) for place, digit in places]


def _below(digits: str) -> list[tuple[str, int]]:
    places = [(place, int(digit)) for place, digit in enumerate(digits) if digit != "0"]
    return [(f"{digits[:place]}[0-{digit - 1}]", len(digits) - place - 1) for place, digit in places]


def _any(count: int, more: str = "") -> str:
    return f"[0-9]{{{count}{',' if more else ''}}}" if count or more else ""


def _same(whole: str) -> str:
    return f"0*{whole}" if whole else "0+"


def _either(forms: list[str]) -> str:
    return f"(?:{'|'.join(forms)})"
