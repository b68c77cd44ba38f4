"""/-/status and /-/metrics: what the server says of itself."""

from __future__ import annotations

import tomllib

import gevent
import pytest
from prometheus_client.parser import text_string_to_metric_families

import app
import kv
from kv.admission import Admission
from kv.caller import Caller
from kv.lag import BOUNDS, Lag
from kv.service import Service
from kv.settings import Settings
from kv.tokens import Tokens, digest
from tests.support.kv_helpers import client, opened, put
from tests.support.processes import ROOT, wait_until

ENTRIES = ((digest("secret"), Caller("ann", ("",), ("",))),)


def metrics(http, **options):
    """Each sample by its name and the values of its labels."""
    text = http.get("/-/metrics", **options).get_data(as_text=True)
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert kv.__version__ == app.__version__ == project["version"]


def test_status(http, store):
    http.put("/v1/kv/a", data=b"1")
    told = http.get("/-/status").json
    assert told["store"] == {"engine": "memory", "revision": 1, "keys": 1}
    assert (told["version"], told["watchers"], told["warnings"]) == (kv.__version__, 0, [])
    assert told["since"].endswith("Z")


def test_status_of_every_engine(engine):
    put(engine, "a", b"1")
    told = engine.status()
    assert (told["revision"] > 0, told["keys"]) == (True, 1)
    assert told.get("bytes", 1) > 0


def test_metrics(http, store):
    http.put("/v1/kv/a", data=b"1")
    http.put("/v1/kv/a", data=b"1")
    http.get("/v1/kv/a")
    http.get("/v1/kv/b")
    http.open("/v1/kv/a", method="BREW")
    with store.hub.watch("a"):
        found = metrics(http)
    assert found["kv_requests_total", "PUT", "201"] == 1
    assert found["kv_requests_total", "PUT", "200"] == 1
    assert found["kv_requests_total", "GET", "404"] == 1
    assert found["kv_requests_total", "other", "405"] == 1
    assert (found["kv_commits_total",], found["kv_revision",], found["kv_watchers",]) == (1, 1, 1)
    assert (found["kv_keys",], found["kv_build_info", kv.__version__]) == (1, 1)
    assert found["process_resident_memory_bytes",] > 0
    assert ("kv_store_bytes",) not in found


def test_openmetrics_if_that_is_preferred(http):
    response = http.get("/-/metrics", headers={"Accept": "application/openmetrics-text"})
    assert (response.mimetype, response.data.endswith(b"# EOF\n")) == ("application/openmetrics-text", True)


def test_every_process_has_its_own_figures(store, http):
    http.get("/-/healthz")
    assert ("kv_requests_total", "GET", "200") not in metrics(client(store))


def test_who_writes_is_told_by_name_and_nobody_reads_without_a_token(store):
    http = client(store, admission=Admission(lambda: Tokens(ENTRIES)))
    headers = {"Authorization": "Bearer secret"}
    http.put("/v1/kv/a", data=b"1", headers=headers)
    http.put("/v1/kv/a", data=b"{", headers=headers)
    assert metrics(http, headers=headers)["kv_writes_total", "ann"] == 1
    assert "secret" not in http.get("/-/metrics", headers=headers).text
    assert [http.get(f"/-/{path}").status_code for path in ("status", "metrics")] == [401, 401]


def test_lag_is_what_others_take():
    lag = Lag(period=0.01)
    lag.start()
    wait_until(lambda: sum(lag.buckets) > 3)
    lag.stop()
    quiet = sum(lag.buckets)
    gevent.sleep(0.03)
    assert sum(lag.buckets) == quiet
    for seconds in (0.0, 0.001, 0.0011, 5.0):
        lag.add(seconds)
    assert lag.buckets[-1] >= 1
    assert len(lag.buckets) == len(BOUNDS) + 1


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_an_open_door_is_told(host):
    service = Service(Settings(host=host, store="memory://", insecure=True))
    service.start(lambda: None)
    try:
        told = client_of(service).get("/-/status").json["warnings"]
    finally:
        service.stop()
    assert [("no tokens" in warning) for warning in told] == ([] if host == "127.0.0.1" else [True])


def test_a_file_of_tokens_that_cannot_be_used_is_told(tmp_path):
    file = tmp_path / "tokens.json"
    file.write_text(f'[{{"name": "ann", "sha256": "{digest("secret")}"}}]')
    service = Service(Settings(store="memory://", tokens=file))
    service.start(lambda: None)
    try:
        file.write_text("not any more")
        http, headers = client_of(service), {"Authorization": "Bearer secret"}
        wait_until(lambda: http.get("/-/status", headers=headers).json["warnings"])
        assert "stays in force" in http.get("/-/status", headers=headers).json["warnings"][0]
    finally:
        service.stop()


def client_of(service):
    from werkzeug.test import Client

    return Client(service.api)


def test_sqlite_knows_its_size(tmp_path):
    from kv.engine.sqlite import SqliteEngine

    with opened(SqliteEngine(tmp_path / "kv.db")) as engine:
        before = engine.status()["bytes"]
        put(engine, "a", b'"%b"' % (b"x" * 100_000))
        assert engine.status()["bytes"] > before + 50_000
