"""What the benchmark of changes measures with: its clients, its ways to change each proxy, its table."""

from __future__ import annotations

import re
import time
from contextlib import closing
from pathlib import Path

import pytest
from gevent import socket
from gevent.event import Event
from gevent.server import StreamServer

from bench.change import COLUMNS, Outcome, attempt, chosen, effect, effect_on_many, quantile, row, share
from bench.changers import OTHERS, PORTS, ROUTES, WEIGHTS, serin, serving
from bench.clients import Client, Clients
from bench.instance import confined_to, cores
from bench.peers import Site
from bench.serins import CONFIG, in_force_since
from tests.support.processes import wait_until
from tests.support.raw import Address, RecordingServer

CONFIGS = [*(changer.peer.config for changer in OTHERS), ROUTES, CONFIG]


def answer(version: str, fields: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(version) + 1}\r\n{fields}\r\n{version}\n".encode()


class Versioned(RecordingServer):
    """Answers by the version that it is set to."""

    def __init__(self) -> None:
        super().__init__(lambda _request: answer(self.version))
        self.version = "stable"


def test_a_client_stays_on_its_connection():
    with Versioned() as server, closing(Client(server.address)) as client:
        assert [client.ask(), client.ask()] == ["stable", "stable"]
    assert [len(requests) for requests in server.connections] == [2]
    assert (client.requests, client.lost) == (2, 0)


@pytest.mark.parametrize("bad", [answer("stable").replace(b"200", b"503"), None, b"nonsense\r\n\r\n"])
def test_a_client_counts_every_loss(bad: bytes | None):
    with RecordingServer(bad) as server, closing(Client(server.address)) as client:
        assert [client.ask(), client.ask()] == ["", ""]
    assert (client.requests, client.lost) == (2, 2)


def test_an_announced_close_loses_nothing_however_late_it_comes():
    heard: list[bytes] = []

    def answer_and_listen(connection: socket.socket, _peer: Address) -> None:
        connection.recv(65536)
        connection.sendall(answer("stable", "Connection: close\r\n"))
        heard.append(connection.recv(65536))

    server = StreamServer(("127.0.0.1", 0), answer_and_listen)
    server.start()
    with closing(Client(("127.0.0.1", server.server_port))) as client:
        assert [client.ask(), client.ask()] == ["stable", "stable"]
    wait_until(lambda: heard == [b"", b""], what="two connections that end")
    server.stop()


def test_a_close_before_the_request_loses_nothing():
    closed = Event()

    def answer_once(connection: socket.socket, _peer: Address) -> None:
        connection.recv(65536)
        connection.sendall(answer("stable"))
        connection.close()
        closed.set()

    server = StreamServer(("127.0.0.1", 0), answer_once)
    server.start()
    with closing(Client(("127.0.0.1", server.server_port))) as client:
        for _ in range(2):
            closed.clear()
            assert client.ask() == "stable"
            assert closed.wait(5)
    server.stop()
    assert client.lost == 0


def test_the_load_is_a_process_that_reports():
    with Versioned() as server, Clients(server.address, 3, 0.001) as load:
        load.wait_begun()
    assert load.last["requests"] > 15
    assert load.last["lost"] == 0
    assert len(server.connections) == 3


def test_a_change_is_in_effect_once_it_is_answered_by():
    with Versioned() as server, closing(Client(server.address)) as client:

        def send() -> None:
            wait_until(lambda: server.requests, what="a first request")
            server.version = "canary"

        assert effect(send, client, "canary") > 0
    assert len(server.requests) > 1


def test_a_change_of_many_is_in_effect_when_the_last_has_noted_it():
    with Versioned() as server, closing(Client(server.address)) as client:
        moment = time.time() + 7
        assert 6 < effect_on_many(lambda: None, lambda: [moment - 5, moment], [client] * 2, "stable") <= 7
        with pytest.raises(AssertionError, match="not all answer by canary"):
            effect_on_many(lambda: None, lambda: [moment], [client], "canary")


def test_a_log_tells_when_a_config_came_in_force(tmp_path: Path):
    line = "2026-11-25 18:10:08,%d INFO app.config.current: config %d-abc in force, from config_server\n"
    for number in range(2):
        (tmp_path / f"serin-{number}.log").write_text(
            line % (100, 1) + line % (500 + number, 2) + "another\n"
        )
    first, second = sorted(in_force_since(Site({}, tmp_path)))
    assert second - first == pytest.approx(0.001, abs=1e-5)
    assert first % 1 == pytest.approx(0.5, abs=1e-5)


def test_a_change_that_is_refused_is_told_at_once():
    def send() -> None:
        raise AssertionError("refused")

    with (
        Versioned() as server,
        closing(Client(server.address)) as client,
        pytest.raises(AssertionError, match="refused"),
    ):
        effect(send, client, "canary")


def test_a_change_without_effect_is_told():
    with (
        Versioned() as server,
        closing(Client(server.address)) as client,
        pytest.raises(AssertionError, match="canary does not answer"),
    ):
        effect(lambda: None, client, "canary", deadline=0.05)


def test_changes_are_dealt_out_over_the_rounds():
    assert [share(7, 3, number) for number in range(3)] == [3, 2, 2]


def test_percentiles_are_times_that_were_measured():
    times = [float(number) for number in range(1, 201)]
    assert [quantile(times, part) for part in (0.5, 0.99, 1)] == [100, 198, 200]
    assert quantile([7.0], 0.5) == 7.0


def test_a_row():
    known = serin(10)
    line = row(known, Outcome([0.001, 0.003, 0.002], 1234, 5))
    assert len(line) == len(COLUMNS)
    assert line[2:] == ("10", known.mechanism, "3", "2.0", "3.0", "3.0", "1,234", "5")
    assert row(known, Outcome([0.001], missing="not installed"))[2:5] == ("10", "not installed", "–")


def test_serin_has_a_row_for_each_number_of_instances():
    assert [(each.name, each.instances) for each in chosen("serin,Envoy", "1,10")] == [
        ("Serin", 1),
        ("Serin", 10),
        ("Envoy", 1),
    ]
    with pytest.raises(SystemExit, match="squid: none of Serin, HAProxy"):
        chosen("squid", "1")


@pytest.mark.parametrize("config", CONFIGS)
def test_every_placeholder_is_filled(config, tmp_path):
    serving(Site(dict.fromkeys(PORTS, 9), tmp_path), "canary").lay(config)
    assert not re.search(r"@\w+@", (tmp_path / config).read_text())


def test_one_version_has_all_the_weight():
    assert WEIGHTS["stable"]["stable_weight"] == WEIGHTS["canary"]["canary_weight"] == 1
    assert WEIGHTS["stable"]["canary_weight"] == WEIGHTS["canary"]["stable_weight"] == 0


@pytest.mark.end_to_end
@pytest.mark.parametrize(
    "changer", [serin(1), serin(2), *OTHERS], ids=lambda each: f"{each.name}-{each.instances}"
)
def test_each_proxy_is_changed_there_and_back(changer):
    if changer.peer.path() is None:
        pytest.skip("not installed")
    try:
        both = cores()
    except SystemExit as lack:
        pytest.skip(str(lack))
    outcome = Outcome()
    with confined_to(both[1]):
        attempt(changer, both, 2, outcome)
    assert not outcome.missing
    assert len(outcome.seconds) == 2
    assert outcome.requests > 0
