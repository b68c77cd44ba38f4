"""A change of the config document takes effect while the proxy serves."""

from __future__ import annotations

import time
from statistics import median

import pytest

from tests.support.client import Client
from tests.support.processes import wait_until
from tests.support.relay import Relay
from tests.support.stack import Stack

pytestmark = pytest.mark.end_to_end

VERSIONS = ("stable", "canary")


def test_a_new_ratio_takes_effect_at_once(tmp_path):
    with Stack(tmp_path, config={"ratio": 0, "update_rate": "1h"}) as stack, Client(stack.address) as client:
        pid = stack.web.pid
        times = [time_to_effect(stack, client, number % 2) for number in range(1, 61)]
        assert (stack.web.pid, stack.web.running) == (pid, True)
    middle, worst = median(times) * 1000, max(times) * 1000
    print(f"from PATCH to the first answer by it: median {middle:.1f} ms, worst {worst:.1f} ms")
    assert median(times) < 1.0


def time_to_effect(stack, client, ratio):
    begun = time.monotonic()
    stack.patch_config({"ratio": ratio})
    wait_until(lambda: client.version() == VERSIONS[ratio], what=f"ratio {ratio}", pause=0)
    return time.monotonic() - begun


def test_without_the_watch_the_next_poll_brings_it(tmp_path):
    with Relay(cut_watch=True) as relay, stack_behind(relay, tmp_path, update_rate=1.0) as stack:
        for ratio in (1, 0, 1):
            stack.patch_config({"ratio": ratio})
            before = relay.polls
            wait_until(lambda want=VERSIONS[ratio]: stack.version() == want, what=f"ratio {ratio}")
            # One poll may have been under way before the change; the one after it must bring it.
            assert relay.polls - before <= 2
        assert relay.watches > 0


def test_a_new_update_rate_holds_from_the_next_round(tmp_path):
    with Relay() as relay, stack_behind(relay, tmp_path, update_rate="1h") as stack:
        before = relay.polls
        stack.wait_in_force(stack.patch_config({"update_rate": 0.05})["etag"])
        wait_until(lambda: relay.polls >= before + 20, what="20 polls")
        slow = stack.patch_config({"update_rate": "1h"})["etag"]
        stack.wait_in_force(slow)
        calm = relay.polls
        stack.wait_in_force(stack.patch_config({"ratio": 1})["etag"])  # by the watch
        assert relay.polls - calm <= 1


def stack_behind(relay, folder, **config):
    """A stack whose proxy reaches the config server through the relay."""
    stack = Stack(
        folder,
        config={"ratio": 0, "config_server": relay.url, **config},
        env={"CONFIG_SERVER": relay.url},
    )
    relay.target = ("127.0.0.1", stack.kv_port)
    return stack


def test_another_config_server_is_adopted_once_it_has_answered(tmp_path):
    (tmp_path / "other").mkdir()
    with Stack(tmp_path, config={"ratio": 0, "update_rate": 0.1}) as stack:
        other = Stack(tmp_path / "other", start=("kv",))
        stack.patch_config({"config_server": other.kv_url})
        stack.wait_status(lambda status: status["config"]["moving"], "the reason it is not adopted")
        stack.patch_config({"ratio": 1})  # the old one still counts
        stack.wait_version("canary")
        with other:
            moved = other.put_config({**stack.document(), "ratio": 0})
            stack.wait_in_force(moved["etag"])
            assert stack.status()["config"]["config_server"] == other.kv_url
            other.patch_config({"ratio": 1})
            stack.wait_version("canary")
