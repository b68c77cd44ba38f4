"""The config as it may be shown to whoever can ask: what the schema calls a secret is blotted out."""

from __future__ import annotations

from typing import Any

from app.config.fields import Text
from app.config.model import Config
from app.config.part import ListOf, Part, Section
from app.config.schema import Document, dump

HIDDEN = "(hidden)"


def shown_config(config: Config) -> dict[str, Any]:
    """The whole document, defaults and all, without its secrets."""
    return _shown_part(Document(), dump(config))


def _shown_part(part: Part, data: dict[str, Any]) -> dict[str, Any]:
    return {name: _shown(part.fields[name], value) for name, value in data.items()}


def _shown(field: Any, value: Any) -> Any:
    if isinstance(field, ListOf):
        return [_shown(field.inner, item) for item in value]
    if isinstance(field, Section) and value is not None:
        return _shown_part(field.part, value)
    return HIDDEN if value and isinstance(field, Text) and field.secret else value
