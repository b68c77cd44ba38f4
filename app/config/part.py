"""What the objects of a config document have in common: how they are built, nest and tell their faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar, cast

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, pre_dump, validates_schema
from marshmallow.exceptions import SCHEMA

from app.config import strict_json
from app.config.wording import shown, suggestion

_MOST_FAULTS = 20


class Part(Schema):
    """One object of the document, read into `makes`. `also`: what JSON Schema can say of no single field."""

    makes: ClassVar[type]
    also: ClassVar[Mapping[str, Any]] = {}

    class Meta:
        unknown = EXCLUDE  # refuse_unknown tells more than marshmallow would

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def refuse_unknown(self, data: Any, original: Mapping[str, Any], **_: Any) -> None:
        known = tuple(self.fields)
        strangers = [key for key in original if key not in self.fields][:_MOST_FAULTS]
        if strangers:
            raise ValidationError(
                {key: [f"no field is called {shown(key)}{suggestion(key, known)}"] for key in strangers}
            )

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Any:
        return self.makes(**data)


class OneOf(Part):
    """A part in which exactly one of `kinds` stands; the key is its kind, the value its name."""

    kinds: ClassVar[tuple[str, ...]]

    @validates_schema(skip_on_field_errors=True)
    def one_kind(self, data: dict[str, Any], **_: Any) -> None:
        given = [kind for kind in self.kinds if kind in data]
        if len(given) != 1:
            raise ValidationError(f"{_one_of(*self.kinds)}; has {len(given)}")

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Any:
        kind = next(kind for kind in self.kinds if kind in data)
        not_given = {name: None for name, field in self.fields.items() if field.allow_none}
        return self.makes(kind=kind, name=data.pop(kind), **not_given | data)

    @pre_dump
    def unfold(self, part: Any, **_: Any) -> dict[str, Any]:
        rest = {name: getattr(part, name) for name in self.fields if name not in self.kinds}
        return {part.kind: part.name} | rest


def exactly_one_of(*kinds: str) -> dict[str, Any]:
    """The rule of OneOf as JSON Schema."""
    return {"oneOf": [{"required": [kind]} for kind in kinds], "errorMessage": _one_of(*kinds)}


def _one_of(*kinds: str) -> str:
    return f"must have exactly one of {', '.join(kinds)}"


class Section(fields.Nested):
    """An object inside the document. What it read last is remembered: most changes leave most sections alone."""

    def __init__(
        self, part: type[Part], description: str, *, null: bool = False, required: bool = False
    ) -> None:
        super().__init__(part, metadata={"description": description}, required=required, allow_none=null)
        self._last: tuple[str, Any] | None = None
        self.error_messages |= {
            "required": "is missing, must be an object",
            "null": "got null, must be an object",
        }

    @property
    def part(self) -> Part:
        return cast(Part, self.schema)

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, partial: Any = None, **kwargs: Any
    ) -> Any:
        if not isinstance(value, Mapping):
            raise ValidationError(f"got {shown(value)}, must be an object")
        # As text, since True == 1 == 1.0; what it is read into is immutable.
        spelled = repr(value)
        last = self._last
        if last is None or last[0] != spelled:
            last = self._last = spelled, super()._deserialize(value, attr, data, partial, **kwargs)
        return last[1]


class ListOf(fields.List[Any]):
    """A list of objects, or of values of one kind, `least` to `longest`; the model has it as a tuple."""

    def __init__(
        self,
        item: type[Part] | fields.Field[Any],
        description: str,
        longest: int,
        *,
        of: str = "objects",
        least: int = 0,
        required: bool = False,
    ) -> None:
        inner = item if isinstance(item, fields.Field) else Section(item, description)
        super().__init__(inner, metadata={"description": description}, required=required)
        self.least, self.longest = least, longest
        self.allowed = f"a list of {f'{least} to' if least else 'at most'} {longest} {of}"
        self.error_messages |= {
            "required": f"is missing, must be {self.allowed}",
            "null": f"got null, must be {self.allowed}",
        }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        # The length first: a hundred thousand faulty items would take seconds to be told one by one.
        if not isinstance(value, list) or not self.least <= len(value) <= self.longest:
            given = f"{len(value)} of them" if isinstance(value, list) else shown(value)
            raise ValidationError(f"got {given}, must be {self.allowed}")
        return tuple(super()._deserialize(value, attr, data, **kwargs))


Invalid = Callable[[dict[str, str]], Exception]


def read(part: Part, data: Any, invalid: Invalid) -> Any:
    """What `part` makes of decoded JSON; raises what `invalid` makes of the faults, 20 at most."""
    if not isinstance(data, Mapping):
        raise invalid({"": f"got {shown(data)}, must be an object"})
    try:
        return part.load(data)
    except ValidationError as fault:
        raise invalid(flat(fault.messages)) from None


def read_bytes(part: Part, raw: bytes, largest: int, invalid: Invalid) -> Any:
    """The same for JSON of at most `largest` bytes."""
    return read(part, decoded(raw, largest, invalid), invalid)


def decoded(raw: bytes, largest: int, invalid: Invalid) -> Any:
    """What JSON of at most `largest` bytes spells; raises what `invalid` makes of its fault."""
    if len(raw) > largest:
        raise invalid({"": f"got {len(raw):,} bytes, must be at most {largest:,}"})
    try:
        return strict_json.loads(raw)
    except ValueError as fault:
        raise invalid({"": f"is not JSON: {fault}"}) from None


class Reader:
    """As `read`, for documents that follow each other.

    Where one differs from the one before in single values alone, as when the ratio moves, only these are read: a
    hundred instances may have to do it at the same time. Sections and lists, of which rules for the whole document
    may speak, have all of it read.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._last: tuple[dict[str, str], Any] = {}, None

    def read(self, data: Any, invalid: Invalid) -> Any:
        """See the function of that name."""
        # As text, since True == 1 == 1.0; what it is read into is immutable.
        spelled = {name: repr(value) for name, value in data.items()} if isinstance(data, Mapping) else {}
        made = self._amended(data, spelled)
        if made is None:
            made = read(self._part, data, invalid)
        self._last = spelled, made
        return made

    def _amended(self, data: Any, spelled: Mapping[str, str]) -> Any:
        before, made = self._last
        if made is None or before.keys() != spelled.keys():
            return None
        changed = [name for name, text in spelled.items() if text != before[name]]
        fields = self._part.fields
        if any(isinstance(fields[name], Section | ListOf) for name in changed):
            return None
        try:
            values = {name: fields[name].deserialize(data[name], name, data) for name in changed}
        except ValidationError:
            return None  # the whole document has more to say about what is wrong
        return replace(made, **values)


def flat(messages: Any) -> dict[str, str]:
    """marshmallow's nested messages by dotted path: `stable.servers[0].url`."""
    return dict(islice(_walk(messages, ""), _MOST_FAULTS))


def _walk(messages: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(messages, Mapping):
        yield path, "; ".join(str(message) for message in messages)
        return
    for key, below in messages.items():
        yield from _walk(below, path if key == SCHEMA else _below(path, key))


def _below(path: str, key: Any) -> str:
    if isinstance(key, int):
        return f"{path}[{key}]"
    name = key if isinstance(key, str) and key.isprintable() and len(key) <= 60 else shown(key)
    return f"{path}.{name}" if path else name
