"""A client that vanishes without a word: run by a test in a network of its own, which then goes down.

    unshare --net python -m tests.kv.vanishing

No packet is answered any more, not even with a reset, as when the client's machine has lost its power.
"""

from __future__ import annotations

from gevent import monkey, subprocess

from kv.incoming import Bounds
from kv.stream import Pace
from tests.support.events import EventSource
from tests.support.kv_helpers import serving, serving_store
from tests.support.processes import wait_until


def main() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    bounds, pace = Bounds(send=0.5, drain=0.1), Pace(heartbeat=0.1)
    with serving_store() as store, serving(store, bounds, pace=pace) as server:
        stream = EventSource(("127.0.0.1", server.server_port), "/v1/kv/a")
        stream.next()
        assert store.hub.watchers == 1
        subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
        wait_until(lambda: not store.hub.watchers, what="the server notices")


if __name__ == "__main__":
    monkey.patch_all()
    main()
