from __future__ import annotations

import logging

import pytest

from app.admin.app import ROUTES
from app.admin.report import Report
from tests.admin.instance import Instance


@pytest.mark.parametrize("path", ROUTES)
def test_everything_can_be_read_and_nothing_else(instance: Instance, path: str) -> None:
    instance.apply()
    assert instance.get(path).status_code == 200
    refusal = instance.client.post(path)
    assert (refusal.status_code, refusal.headers["Allow"]) == (405, "GET, HEAD")


def test_head_is_get_without_the_body(instance: Instance) -> None:
    full, head = instance.apply().get("/healthz"), instance.client.head("/healthz")
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == str(len(full.data))


@pytest.mark.parametrize("path", ["/", "/metrics/", "/status.json"])
def test_an_unknown_path_is_answered_with_the_known_ones(instance: Instance, path: str) -> None:
    answer = instance.get(path)
    assert answer.status_code == 404
    assert answer.text.splitlines()[1:] == ["/status", "/metrics", "/healthz", "/readyz"]


def test_nothing_is_cached_and_nobody_else_is_let_in(instance: Instance) -> None:
    headers = dict(instance.get("/status", headers={"Origin": "http://elsewhere"}).headers)
    assert headers["Cache-Control"] == "no-store"
    assert not any(name.startswith("Access-Control") for name in headers)


def test_it_is_healthy_before_it_is_ready(instance: Instance) -> None:
    assert instance.get("/healthz").status_code == 200
    answer = instance.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "no config in force: none was read yet\n")
    assert (instance.apply().get("/readyz").status_code, instance.status()["ready"]) == (200, True)


def test_it_is_not_ready_while_it_drains(instance: Instance) -> None:
    instance.apply().gateway.drain()
    answer = instance.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "draining\n")
    assert instance.get("/healthz").status_code == 200
    assert instance.status()["problem"] == "draining"


class Broken:
    def start(self) -> None: ...

    def stop(self) -> None: ...

    def report(self) -> Report:
        raise RuntimeError("a secret of ours")


def test_a_fault_of_ours_is_logged_and_not_shown(
    instance: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    answer = instance.served_with(Broken()).get("/status")
    assert (answer.status_code, "secret" in answer.text) == (500, False)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
