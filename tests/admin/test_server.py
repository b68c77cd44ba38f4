from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gevent import socket

from app.admin.server import Admin
from app.server import Service
from app.settings import Settings
from tests.admin.instance import Instance
from tests.admin.workers import Processes
from tests.support.config_server import FakeConfigServer, document
from tests.support.processes import fetch, free_port, wait_until


@contextmanager
def serving(admin: Admin) -> Iterator[str]:
    admin.start()
    try:
        yield f"http://127.0.0.1:{admin.port}"
    finally:
        admin.stop()


def settings(folder: Path, config_server: str, admin_port: int) -> Settings:
    return Settings(
        admin_port=admin_port, config_server=config_server, config_file=folder / "none", state_dir=folder
    )


def test_it_serves_on_a_free_port(instance: Instance) -> None:
    with serving(Admin("127.0.0.1", 0, instance.apply().live)) as url:
        assert fetch("GET", f"{url}/status").json()["ready"] is True
        assert fetch("GET", f"{url}/nothing").status_code == 404


def test_several_requests_go_over_one_connection(instance: Instance) -> None:
    with serving(Admin("127.0.0.1", 0, instance.live)) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as client, client.makefile("rb") as answers:
            for _ in range(3):
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                head = list(iter(answers.readline, b"\r\n"))
                assert (head[0], answers.read(3)) == (b"HTTP/1.1 200 OK\r\n", b"ok\n")


def test_a_port_in_use_is_named(instance: Instance) -> None:
    with serving(Admin("127.0.0.1", 0, instance.live)) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(OSError, match=f"admin endpoints on 127.0.0.1:{port}: .*in use"):
            Admin("127.0.0.1", port, instance.live).start()


def test_workers_listen_on_one_port(tmp_path: Path) -> None:
    processes, one, other = Processes(tmp_path), Instance().apply(), Instance().apply()
    first = Admin("127.0.0.1", 0, one.live, processes.worker(11))
    with serving(first) as url:
        with serving(Admin("127.0.0.1", first.port, other.live, processes.worker(12))):
            answers = [fetch("GET", f"{url}/status").json() for _ in range(8)]
        assert {len(answer["workers"]) for answer in answers} == {2}
        assert len(fetch("GET", f"{url}/status").json()["workers"]) == 1


def test_a_service_says_when_it_is_ready(tmp_path: Path) -> None:
    port = free_port()
    with FakeConfigServer() as config_server:
        service = Service(settings(tmp_path, config_server.url, port))
        service.start()
        try:
            ready = f"http://127.0.0.1:{port}/readyz"
            answer = fetch("GET", ready)
            assert (answer.status_code, answer.text) == (
                503,
                "no config in force: the config server has no document under the key\n",
            )
            config_server.put(document())
            wait_until(lambda: fetch("GET", ready).status_code == 200)
            status = fetch("GET", f"http://127.0.0.1:{port}/status").json()
            assert status["config"]["etag"] == status["workers"][0]["etag"] == config_server.etag
        finally:
            service.stop()
    assert not (tmp_path / "workers").exists()


def test_port_0_turns_it_off(tmp_path: Path) -> None:
    assert Service(settings(tmp_path, "http://127.0.0.1:1", 0)).admin is None
