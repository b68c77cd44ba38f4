"""What was kept at one moment, read in steps while writes go on.

Kept versions never change, so only what is deleted in the meantime is in danger: it is set aside first. Knows no
database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kv.model import Item

Place = tuple[str, int]
"""Where a version stands in a snapshot: its key and revision."""

_BEGINNING: Place = ("", 0)
_END: Place = ("\U0010ffff", 0)


class Snapshot:
    """The versions up to `revision`. `place` is that of the last one taken."""

    __slots__ = ("_aside", "place", "revision")

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.place = _BEGINNING
        self._aside: dict[Place, Item] = {}

    @property
    def ended(self) -> bool:
        return self.place == _END

    def spare(self, doomed: Iterable[Item]) -> None:
        """Set aside what belongs to it and has not been taken."""
        for item in doomed:
            if item.version.revision <= self.revision and _place(item) > self.place:
                self._aside[_place(item)] = item

    def take(self, found: Sequence[Item]) -> list[Item]:
        """The next versions: those `found` behind `place`, and the spared ones among them. Nothing found: the rest.

        What was spared may be found too, if the write that was to delete it failed.
        """
        self.place = _place(found[-1]) if found else _END
        taken = {_place(item): item for item in found}
        for place in [place for place in self._aside if place <= self.place]:
            taken[place] = self._aside.pop(place)
        return [taken[place] for place in sorted(taken)]


def _place(item: Item) -> Place:
    return item.key, item.version.revision
