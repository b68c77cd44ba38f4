"""What the config server asks of whatever holds its data. The contract suite in tests/kv holds every engine to it.

A commit is atomic and has one revision; revisions grow; what is acknowledged or visible is durable; `get` and
`commit` are linearizable; the last versions of every key are kept; the feed is in order and without gaps, or says
Reset. An outcome that is not known is Unknown, never a failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kv.model import Commit, Condition, Event, Item, Meta, Operation, Version

TTL_SLACK = 5.0
"""Seconds by which a key may outlive its ttl."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`value_bytes` a value, `keys` known to the store (deleted ones with a history included), `versions` a key."""

    value_bytes: int = 512 * 1024
    keys: int = 10_000
    versions: int = 100


class Engine(Protocol):
    """Methods may switch greenlets; all but `feed` are called from any greenlet, `feed` from one.

    A Put with a ttl makes a version like any other for `get`, `scan`, conditions and the feed, but one that lasts for
    `ttl` seconds from its commit, TTL_SLACK more at most, and is not kept (see Version): it may be lost with the
    process, which is why it needs no disk. Its revision is never given again all the same, whatever happens.

    - The same value with the same ttl again is no change, but the time begins anew: a lease is renewed, its ETag
      stays. Another ttl is a change. A Merge or Patch leaves the key its ttl, and its time begins anew too.
    - When its time is up, a commit without a caller deletes it: an event of the feed like any other.
    - A Put without a ttl makes the key stay, and begins or continues its history. A Put with a ttl over a key that is
      there to stay is refused (Kept); over a deleted one it is not, and leaves the history as it is.
    """

    def open(self) -> int:
        """Take exclusive hold of the data; the store's revision, no lower than any it ever gave.

        Raises CannotStart.
        """

    def get(self, key: str, revision: int | None = None) -> Item | None:
        """The live item, or the version written at exactly `revision`, which may be a kept deletion.

        Raises Gone for a revision older than what is kept.
        """

    def peek(self, key: str) -> Item | None:
        """The live item as this process knows it, without asking anyone or switching greenlets.

        At least as new as what `get` and `scan` have answered here and what `feed` has told.
        """

    def scan(self, prefix: str, after: str, limit: int) -> tuple[int, list[Item]]:
        """Live items under `prefix` with keys above `after`, by key, at most `limit`, of one moment.

        The number is the newest revision known to have touched a key under `prefix`, deletions included.
        """

    def commit(self, conditions: Sequence[Condition], operations: Sequence[Operation], meta: Meta) -> Commit:
        """All operations, or none: each key at most once.

        Raises Conflict, NotFound (nothing to patch or delete), PatchTestFailed, CannotApply, Kept, TooLarge,
        InvalidDocument, Full, Unavailable, Unknown; and rules.Unexamined, with nothing written, for a document that
        has to be examined elsewhere first.
        """

    def history(self, key: str, limit: int) -> list[Version]:
        """Newest first; empty for a key of which nothing is kept."""

    def feed(self) -> Iterator[Event]:
        """Every commit that changed something, in order, from `open` on; ends at `close`.

        Raises Unavailable when the engine has broken down and the process has to start again.
        """

    def status(self) -> dict[str, Any]:
        """What an operator would ask, from memory: at least `engine`, `revision` and `keys`.

        `bytes`, if known: what it takes on disk. `warnings`: sentences, if there is something to mend.
        """

    def backup(self) -> Iterator[Item]:
        """All kept versions of one moment, by key and revision, while the engine goes on serving.

        The moment is when the first is asked for. Raises Unavailable if the engine breaks down on the way.
        """

    def restore(self, items: Iterable[Item], revision: int) -> None:
        """Put `items`, ordered as `backup` gives them, in place of everything, before anyone else uses the engine.

        `revision`: the store's where they come from. Revisions, and with them ETags, stay what they are where the
        engine gives its own; their order stays anywhere. All or nothing where the engine can. Raises Full,
        Unavailable, Unknown, and what `items` do.
        """

    def close(self) -> None:
        """Let go of the data; what was accepted before is finished."""
