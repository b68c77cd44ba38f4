"""What probes make of a server, and how a server that is back gets its share again. Pure: told all it knows."""

from __future__ import annotations

from typing import NamedTuple

# The parts that a server's share is made of while it starts slowly.
WHOLE = 10


class Standing(NamedTuple):
    """What is thought of a server: is it `down`, and how many probes in a row have said the contrary.

    Before a first probe it is None.
    """

    down: bool
    against: int = 0


def probed(standing: Standing | None, well: bool, rise: int, fall: int) -> Standing:
    """After one more probe. The very first one decides alone: there is nothing to set it against."""
    if standing is None:
        return Standing(not well)
    if well != standing.down:
        return Standing(standing.down)
    against = standing.against + 1
    return (
        Standing(not standing.down)
        if against >= (rise if well else fall)
        else Standing(standing.down, against)
    )


def tenths(back_for: float, slow_start: float | None) -> int:
    """The tenths of its share that a server has which has been back for so many seconds."""
    if slow_start is None or back_for >= slow_start:
        return WHOLE
    return 1 + int((WHOLE - 1) * back_for / slow_start)
