"""The versions of the config document: who wrote each, and what that changed, without its secrets."""

from __future__ import annotations

from collections import OrderedDict
from itertools import zip_longest
from typing import Any

from app.admin.redact import shown_config
from app.config.keys import KeyClient
from app.config.merge import ABSENT, Difference, differences
from app.config.schema import parse
from app.errors import ConfigMissing, InvalidConfig

# So many documents are remembered: what is under an ETag never changes.
_REMEMBERED = 200


class History:
    """Of the document under `key`."""

    def __init__(self, keys: KeyClient, key: str) -> None:
        self._keys = keys
        self._key = key
        self._documents: OrderedDict[str, dict[str, Any] | None] = OrderedDict()

    def versions(self, count: int) -> list[dict[str, Any]]:
        """The newest first: as the config server tells of them, with `changes`. Raises ConfigServerError.

        `changes`: from the version before, `{"pointer", "before", "after"}` each, defaults filled in; None where one
        of the two is no config, or is not kept any more.
        """
        listed = self._keys.history(self._key, count + 1)
        documents = [self._document(version) for version in listed]
        pairs = zip_longest(listed, documents, documents[1:])
        return [version | {"changes": _changes(former, now)} for version, now, former in pairs][:count]

    def _document(self, version: dict[str, Any]) -> dict[str, Any] | None:
        if version.get("deleted"):
            return None
        etag = version["etag"]
        if etag not in self._documents:
            self._documents[etag] = self._shown(version["revision"])
            if len(self._documents) > _REMEMBERED:
                self._documents.popitem(last=False)
        return self._documents[etag]

    def _shown(self, revision: int) -> dict[str, Any] | None:
        try:
            return shown_config(parse(self._keys.get(self._key, revision).raw))
        except (ConfigMissing, InvalidConfig):
            return None


def _changes(former: dict[str, Any] | None, now: dict[str, Any] | None) -> list[dict[str, Any]] | None:
    if former is None or now is None:
        return None
    return [_told(difference) for difference in differences(former, now)]


def _told(difference: Difference) -> dict[str, Any]:
    named = difference._asdict()
    return {name: value for name, value in named.items() if value is not ABSENT}
