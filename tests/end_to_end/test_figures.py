"""What the endpoints of the proxy say is true of the service, whichever worker answers."""

from __future__ import annotations

import signal
from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.load import Load
from tests.support.processes import fetch, wait_until
from tests.support.stack import FRONTS, WORKERS, Stack

pytestmark = pytest.mark.end_to_end

OBSERVED = "serin_observed_requests_total"


@pytest.mark.parametrize("front", FRONTS)
def test_the_figures_are_the_services(front, tmp_path):
    with Stack(tmp_path, front=front, config={"ratio": 0.25}) as stack:
        with Load(stack.address, clients=16) as load:
            load.wait_requests(1000)
        expected = load.result.versions
        assert load.result.failures == []
        wait_until(lambda: answered(stack.status()) == expected, what=f"{expected} in /status")
        wait_until(lambda: responses(stack) == expected, what=f"{expected} in /metrics")
        wait_until(lambda: observed(stack) == expected, what=f"{expected} for the verdict")
        assert len({sample.labels["id"] for sample in samples(stack, OBSERVED)}) == WORKERS[front]
        workers = stack.status()["workers"]
        assert len({worker["pid"] for worker in workers}) == WORKERS[front]
        assert len({worker["etag"] for worker in workers}) == 1


def answered(status):
    return {name: version["answered"]["2xx"] for name, version in status["versions"].items()}


def responses(stack):
    return {
        sample.labels["version"]: sample.value
        for sample in samples(stack, "serin_responses_total")
        if sample.labels["class"] == "2xx"
    }


def observed(stack):
    total = Counter()
    for sample in samples(stack, OBSERVED):
        total[sample.labels["version"]] += sample.value
    return total


def samples(stack, name):
    families = text_string_to_metric_families(fetch("GET", f"{stack.admin_url}/metrics").text)
    return [sample for family in families for sample in family.samples if sample.name == name]


def test_a_recycled_worker_takes_nothing_back(tmp_path):
    with Stack(tmp_path, front="worker", config={"ratio": 0}) as stack:
        for _ in range(20):
            assert stack.version() == "stable"
        wait_until(lambda: answered(stack.status())["stable"] == 20, what="20 answers")
        before = {worker["pid"] for worker in stack.status()["workers"]}
        stack.web.send(signal.SIGHUP)  # gunicorn replaces all its workers
        wait_until(lambda: replaced(stack, before), 20, what="two new workers")
        assert stack.version() == "stable"
        wait_until(lambda: answered(stack.status())["stable"] == 21, what="21 answers")


def replaced(stack, before):
    """Whether two other workers serve now; in between it may be that none is there to ask."""
    try:
        pids = {worker["pid"] for worker in stack.status()["workers"]}
    except (OSError, AssertionError):
        return False
    return len(pids) == 2 and not pids & before
