"""The two documents that a pilot writes, as it finds them: the rollout and the config."""

from __future__ import annotations

from app.config.editor import Editor
from app.config.keys import KeyClient, Stored
from app.config.schema import load as load_config
from app.errors import ConfigMissing, InvalidConfig
from app.rollout import journal
from app.rollout.document import Document
from app.rollout.state import Rollout


class Records:
    """Of one service. What cannot be reached raises ConfigServerError."""

    def __init__(self, keys: KeyClient, editor: Editor, service: str) -> None:
        self._keys = keys
        self._editor = editor
        self.rollout_key = f"{service}/rollout"

    def rollout(self) -> tuple[Stored | None, Rollout | None]:
        """Nothing while there is none. Raises InvalidState."""
        try:
            stored = self._keys.get(self.rollout_key)
        except ConfigMissing:
            return None, None
        return stored, journal.read(stored.raw)

    def config(self) -> tuple[Stored | None, Document | None]:
        """Nothing while there is none, or none that is valid."""
        try:
            stored, document = self._editor.read()
            load_config(document)
        except (ConfigMissing, InvalidConfig):
            return None, None
        return stored, document
