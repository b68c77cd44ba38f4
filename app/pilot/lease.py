"""Of several pilots one leads: whoever holds a key that goes by itself unless it is renewed."""

from __future__ import annotations

import json
import logging

from app.config.keys import KeyClient, Write
from app.errors import ConfigConflict, ConfigMissing, ConfigServerError

log = logging.getLogger(__name__)

# The config server removes the key not before so many seconds, and at most 5 later.
TTL = 4.0


class Lease:
    """`identity` must be nobody else's. `etag`: of the key while it is held; whoever writes makes it a condition."""

    def __init__(self, keys: KeyClient, service: str, identity: str) -> None:
        self._keys = keys
        self.key = f"{service}/pilot"
        self.identity = identity
        self.etag: str | None = None

    def hold(self) -> bool:
        """Take it, or renew it: True while it is ours. Raises ConfigServerError."""
        raw = json.dumps({"id": self.identity}).encode()
        held = self.etag is not None
        try:
            self.etag = self._keys.put(self.key, raw, Write(self.etag or "0", ttl=TTL)).etag
        except ConfigConflict:
            self.etag = None
        if held != (self.etag is not None):
            log.info("this pilot %s", "stands by: another one leads" if held else "leads")
        return self.etag is not None

    def holder(self) -> str | None:
        """Who leads. Raises ConfigServerError."""
        try:
            return str(json.loads(self._keys.get(self.key).raw)["id"])
        except (ConfigMissing, ValueError, LookupError, TypeError):
            return None

    def release(self) -> None:
        """Let another one lead at once."""
        etag, self.etag = self.etag, None
        if etag is None:
            return
        try:
            self._keys.delete(self.key, etag)
        except ConfigServerError as fault:
            log.info("the lead is not given back, it ends by itself: %s", fault)
