"""Which of two versions has a file: what is asked of the other one, and what is remembered of its answer.

The page of one version names files that only this version has; whoever asks for them may be given to the
other one. Memory is bounded: the oldest entry goes first.
"""

from __future__ import annotations

from app.config.model import RescueConfig

METHODS = frozenset((b"GET", b"HEAD"))

# So many paths are remembered, none longer than so many bytes: 3 MiB at most.
REMEMBERED, LONGEST = 4096, 512


class Rescue:
    """The document's `rescue`, and the paths it has come across. `now` is in seconds of a monotonic clock."""

    __slots__ = ("_found", "_remember", "_suffixes", "config")

    def __init__(self, config: RescueConfig) -> None:
        self.config = config
        self._suffixes = tuple(suffix.encode() for suffix in config.suffixes)
        self._remember = config.remember
        self._found: dict[bytes, tuple[str, float]] = {}

    def home(self, method: bytes, path: bytes, now: float) -> str:
        """The version that is known to have the path; "" when it is not known, or neither has it."""
        if method not in METHODS or not path.endswith(self._suffixes):
            return ""
        return self._recall(path, now) or ""

    def is_worth_it(self, method: bytes, path: bytes, now: float) -> bool:
        """Shall the other version be asked for what one has answered 404 to? Not if neither has it."""
        concerned = method in METHODS and len(path) <= LONGEST and path.endswith(self._suffixes)
        return concerned and self._recall(path, now) != ""

    def remember(self, path: bytes, version: str, now: float) -> None:
        """This version has the path; "": neither has."""
        self._found.pop(path, None)
        if len(self._found) >= REMEMBERED:
            del self._found[next(iter(self._found))]
        self._found[path] = version, now + self._remember

    def _recall(self, path: bytes, now: float) -> str | None:
        version, until = self._found.get(path, ("", 0.0))
        return version if now < until else None
