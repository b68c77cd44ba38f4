"""The kinds of value a config document is made of, as marshmallow fields.

Each kind knows three things about itself, side by side so that they cannot drift apart: how it is read,
how its rule reads as the end of a sentence ("must be …"), and how the same rule reads as JSON Schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_interface
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from app.config import origin_pattern
from app.config.decimal_pattern import at_least, at_most
from app.config.origin import split_origin, split_origins
from app.config.wording import as_duration, shown, suggestion

_UNITS = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "h": Fraction(3600)}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|s|m|h)")

_CIDR = re.compile(r"[0-9A-Fa-f.:]+(?:/[0-9]{1,3})?")

# RFC 9110 §5.6.2.
TCHARS = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
PRINTABLE = r"[^\x00-\x1f\x7f]"


class Rule(fields.Field[Any]):
    """A field with a sentence for the docs. `off`: null or "off" mean that there is no limit, or as it says."""

    kind: ClassVar[str]

    def __init__(
        self, description: str, *, off: bool | str = False, null: bool = False, required: bool = False
    ) -> None:
        allow_none = bool(off) or null
        super().__init__(metadata={"description": description}, required=required, allow_none=allow_none)
        self.off = "no limit" if off is True else off
        self.error_messages["required"] = f"is missing, must be {self.allowed}"
        self.error_messages["null"] = f"got null, must be {self.allowed}"

    @property
    def allowed(self) -> str:
        """The rule, as the end of "must be …"."""
        return self.describe() + self.alternative

    @property
    def alternative(self) -> str:
        if self.off:
            return f', or null or "off" for {self.off}'
        return ", or null" if self.allow_none else ""

    def describe(self) -> str:
        raise NotImplementedError

    def read(self, value: Any) -> Any:
        """The value as the model has it; raises ValueError, with a text if there is more to say."""
        raise NotImplementedError

    def constraint(self) -> dict[str, Any]:
        raise NotImplementedError

    def json_schema(self) -> dict[str, Any]:
        """The rule as JSON Schema, with keywords of the config server's where that has none."""
        if self.off:
            return {"anyOf": [self.constraint(), {"enum": [None, "off"]}]}
        return {"anyOf": [self.constraint(), {"type": "null"}]} if self.allow_none else self.constraint()

    def show(self, value: Any) -> str:
        return shown(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if self.off and value == "off":
            return None
        try:
            return self.read(value)
        except ValueError as fault:
            more = f" ({fault})" if str(fault) and not isinstance(fault, UnicodeError) else ""
            raise ValidationError(f"got {self.show(value)}, must be {self.allowed}{more}") from None


class Number(Rule):
    """A number within bounds, both included. True and false are none."""

    kind = "number"

    def __init__(self, description: str, low: float, high: float, unit: str = "", **options: Any) -> None:
        self.low, self.high, self.unit = low, high, unit
        super().__init__(description, **options)

    def describe(self) -> str:
        return f"a {self.kind} from {self.low:,} to {self.high:,} {self.unit}".rstrip()

    def read(self, value: Any) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not self.low <= value <= self.high
        ):
            raise ValueError
        return float(value)

    def constraint(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.low, "maximum": self.high}


class Whole(Number):
    """A whole number within bounds. 1.0 is one as well: JSON knows no difference."""

    kind = "whole number"

    def read(self, value: Any) -> int:
        number = super().read(value)
        if not number.is_integer():
            raise ValueError
        return int(value)

    def constraint(self) -> dict[str, Any]:
        return super().constraint() | {"type": "integer"}


class Duration(Number):
    """Seconds as a number, or a text with its unit: "250ms", "5s", "10m", "2h"."""

    kind = "duration"

    def describe(self) -> str:
        bounds = f"{as_duration(self.low)} to {as_duration(self.high)}"
        return f'seconds as a number or a text like "250ms", "5s", "10m" or "2h", from {bounds}'

    def read(self, value: Any) -> float:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return super().read(value)
        seconds = Fraction(match[1]) * _UNITS[match[2]]
        if not self._lowest <= seconds <= self._highest:
            raise ValueError
        return float(seconds)

    def constraint(self) -> dict[str, Any]:
        within = [self._pattern(at_least, self._lowest), self._pattern(at_most, self._highest)]
        text = {"type": "string", "allOf": [{"pattern": f"^{_DURATION.pattern}$"}, *within]}
        return {"anyOf": [super().constraint(), text]}

    def _pattern(self, bounded: Callable[[Fraction], str], bound: Fraction) -> dict[str, str]:
        return {"pattern": f"^(?:{'|'.join(bounded(bound / size) + unit for unit, size in _UNITS.items())})$"}

    @property
    def _lowest(self) -> Fraction:
        return Fraction(str(self.low))

    @property
    def _highest(self) -> Fraction:
        return Fraction(str(self.high))


class Flag(Rule):
    """True or false, and nothing that only looks like it."""

    kind = "true or false"

    def describe(self) -> str:
        return "true or false"

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    def constraint(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Choice(Rule):
    """One word of a few."""

    kind = "word"

    def __init__(self, description: str, *words: str, **options: Any) -> None:
        self.words = words
        super().__init__(description, **options)

    def describe(self) -> str:
        return " or ".join((", ".join(f'"{word}"' for word in self.words[:-1]), f'"{self.words[-1]}"'))

    def read(self, value: Any) -> str:
        if value not in self.words:
            raise ValueError
        return str(value)

    def constraint(self) -> dict[str, Any]:
        return {"enum": list(self.words)}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return super()._deserialize(value, attr, data, **kwargs)
        except ValidationError as fault:
            raise ValidationError(f"{fault.messages[0]}{suggestion(value, self.words)}") from None


class Text(Rule):
    """A text that fits a pattern. `secret` keeps what was given out of error texts."""

    kind = "text"

    def __init__(
        self, description: str, pattern: str, rule: str, longest: int, *, secret: bool = False, **options: Any
    ) -> None:
        self.pattern, self.rule, self.longest, self.secret = pattern, rule, longest, secret
        super().__init__(description, **options)

    def describe(self) -> str:
        return f"{self.rule}, at most {self.longest} bytes"

    def read(self, value: Any) -> str:
        fits = isinstance(value, str) and re.fullmatch(self.pattern, value)
        if not fits or len(value.encode()) > self.longest:
            raise ValueError
        return str(value)

    def constraint(self) -> dict[str, Any]:
        length = {"maxLength": self.longest, "maxBytes": self.longest}
        return {"type": "string", **length, "pattern": f"^{self.pattern}$"}

    def show(self, value: Any) -> str:
        return "a text" if self.secret and isinstance(value, str) else shown(value)


class Address(Rule):
    """Where a server listens: `http://host[:port]`, `https://host[:port]` or `unix:/path`."""

    kind = "URL"
    patterns: ClassVar = origin_pattern.SERVER

    def describe(self) -> str:
        return "http://host[:port], https://host[:port] or unix:/path"

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError
        self.check(value)
        return value

    def check(self, value: str) -> None:
        split_origin(value)

    def constraint(self) -> dict[str, Any]:
        return {"type": "string", "allOf": [{"pattern": each} for each in self.patterns]}

    def show(self, value: Any) -> str:
        has_user = isinstance(value, str) and "@" in value and not value.startswith("unix:")
        return "a URL with a user in it" if has_user else shown(value)


class Addresses(Address):
    """Where the config server listens; several addresses are one server's, tried in order."""

    kind = "URLs"
    patterns: ClassVar = origin_pattern.LIST

    def describe(self) -> str:
        return "an http:// or https:// URL without path, or several with commas between"

    def check(self, value: str) -> None:
        split_origins(value)


class Network(Rule):
    """IP addresses that begin alike, or a single one; the model has them as `ipaddress` does."""

    kind = "network"

    def describe(self) -> str:
        return 'an IP address, or a network like "10.0.0.0/8" or "2001:db8::/32"'

    def read(self, value: Any) -> IPv4Network | IPv6Network:
        if not isinstance(value, str) or not _CIDR.fullmatch(value):
            raise ValueError
        address, network = _interface(value)
        if address != network.network_address:
            raise ValueError(f"it has bits set behind its mask; the network is {network}")
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            raise ValueError("an IPv4 address is written as one")  # else it would never match
        return network

    def constraint(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_CIDR.pattern}$", "ipNetwork": True}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str:
        return str(value)


def _interface(text: str) -> tuple[IPv4Address | IPv6Address, IPv4Network | IPv6Network]:
    try:
        found = ip_interface(text)
    except ValueError:
        raise ValueError from None  # our rule says it all
    return found.ip, found.network
