"""HTTP statuses as a config document writes them: one by one, or a whole class; beside words of other meaning."""

from __future__ import annotations

from typing import Any

from app.config.fields import Whole
from app.config.model import Status


class StatusField(Whole):
    """A status within bounds, a class of them like "5xx", or one of `words`."""

    kind = "status"

    def __init__(self, description: str, low: int, high: int, *words: str, **options: Any) -> None:
        classes = (f"{first}xx" for first in range(low // 100, high // 100 + 1))
        self.words = (*words, *classes)
        super().__init__(description, low, high, **options)

    def describe(self) -> str:
        words = ", ".join(f'"{word}"' for word in self.words)
        return f"one of {words}, or a status from {self.low} to {self.high}"

    def read(self, value: Any) -> Status:  # type: ignore[override]  # a word stays one
        return value if isinstance(value, str) and value in self.words else super().read(value)

    def constraint(self) -> dict[str, Any]:
        return {"anyOf": [super().constraint(), {"enum": list(self.words)}]}
