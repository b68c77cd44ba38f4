"""The config document's rules as JSON Schema, draft 2020-12, for editors and for the config server.

Refuses what `schema.load` refuses, and nothing else, but for a server in both versions with two kinds of tls. For
that it has keywords which only the config server knows: `uniqueOrigins`, `ipNetwork`, `maxBytes`.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from marshmallow.fields import Field

from app import __version__
from app.config.fields import Rule
from app.config.part import ListOf, Part, Section
from app.config.schema import Document

NAME = "urn:serin:config:"
"""What the schema's $id begins with; Serin's version follows."""


def json_schema() -> dict[str, Any]:
    """The whole document's schema, as plain JSON values. Not standard are `errorMessage` and the three keywords."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{NAME}{__version__}",
        "title": "Serin config document",
    }
    return head | _part(Document())


def default_of(part: Part, name: str) -> Any:
    """The model's default for a field, as the document writes it; `dataclasses.MISSING` when it has none."""
    found = next((each for each in fields(part.makes) if each.name == name), None)
    return MISSING if found is None else found.default


def _part(part: Part) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: _property(part, name, field) for name, field in part.fields.items()},
        "additionalProperties": False,
    }
    required = [name for name, field in part.fields.items() if field.required]
    return (
        schema
        | ({"required": required} if required else {})
        | ({"allOf": [dict(part.also)]} if part.also else {})
    )


def _property(part: Part, name: str, field: Field[Any]) -> dict[str, Any]:
    said = {"description": field.metadata["description"]} | _rule(field)
    default = default_of(part, name)
    is_value = isinstance(field.inner if isinstance(field, ListOf) else field, Rule)
    return said | {"default": default} if is_value and default is not MISSING else said


def _rule(field: Field[Any]) -> dict[str, Any]:
    if isinstance(field, ListOf):
        least = {"minItems": field.least} if field.least else {}
        items = {"type": "array", **least, "maxItems": field.longest, "items": _rule(field.inner)}
        return items | {"errorMessage": f"must be {field.allowed}"}
    if isinstance(field, Section):
        part = _part(field.part)
        return {"anyOf": [part, {"type": "null"}]} if field.allow_none else part
    return (
        field.json_schema() | {"errorMessage": f"must be {field.allowed}"} if isinstance(field, Rule) else {}
    )
