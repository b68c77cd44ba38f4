"""The leases of keys with a ttl: etcd takes away what is on them when their time is up."""

from __future__ import annotations

import math

from kv.engine.etcd.gateway import GRANT, KEEP_ALIVE, Gateway
from kv.engine.etcd.messages import number

MARGIN = 0.5
"""Seconds, at the least, that a lease lasts beyond its ttl: for a commit that comes after it was granted."""


class Leases:
    """One a key: those that share one could not be renewed apart."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def grant(self, ttl: float) -> int:
        """A new one. Raises Unavailable; one of which nobody was told goes by itself."""
        message = {"TTL": str(math.ceil(ttl + MARGIN))}
        return number(self._gateway.read(GRANT, message), "ID")

    def renew(self, lease: int) -> bool:
        """Begin its time anew; False when it has gone. Raises Unavailable."""
        answer = self._gateway.read(KEEP_ALIVE, {"ID": str(lease)})
        return number(answer.get("result", {}), "TTL") > 0
