"""Where the demo listens, and what it says when somebody else does."""

from __future__ import annotations

import pytest
from gevent import socket

from samples.stage import PORTS, Ports, StageError


def test_everybody_has_a_port_and_may_be_moved() -> None:
    chosen = Ports.chosen({"KV_PORT": "7999", "CANARY_PORT": ""})
    assert {variable: chosen[variable] for variable in PORTS} == {
        variable: usual for variable, (_, usual) in PORTS.items()
    } | {"KV_PORT": 7999}


@pytest.mark.parametrize("text", ["x", "0", "65536", "-1", "80.0", "²"])
def test_what_is_no_port_is_told(text: str) -> None:
    with pytest.raises(StageError, match="PILOT_PORT is a port, a number from 1 to 65535, not"):
        Ports.chosen({"PILOT_PORT": text})


def test_every_port_that_is_taken_is_named_and_another_proposed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        taken = [each.getsockname()[1] for each in (one, two)]
        with pytest.raises(StageError) as found:
            Ports({"KV_PORT": taken[0], "STABLE_PORT": taken[1]}).require_free()
    *named, advice = str(found.value).splitlines()
    assert named == [
        f"port {taken[0]}, for the config server, is taken",
        f"port {taken[1]}, for stable, is taken",
    ]
    assert f"make demo KV_PORT={taken[0] + 1000} STABLE_PORT={taken[1] + 1000}" in advice
