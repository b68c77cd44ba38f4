"""The config server as its users start it: settings, signals, and under gunicorn."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gevent import socket

from kv.errors import BadSetting
from kv.settings import Settings, check_reach, read_settings
from kv.wsgi import Application
from tests.support.events import EventSource
from tests.support.kv_helpers import opened
from tests.support.kv_process import KvProcess
from tests.support.processes import ROOT, Process, answers, fetch, free_port, python, wait_until


def run(*arguments, **env):
    """The exit status and the log of a process that ends by itself."""
    done = subprocess.run(
        [sys.executable, "-m", "kv", *arguments],
        env={**os.environ, **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_defaults():
    assert read_settings({}) == Settings("127.0.0.1", 7001, "sqlite:///var/kv.db", (), None)


def test_settings():
    environ = {
        "KV_HOST": "::1",
        "KV_PORT": "0",
        "KV_STORE": "memory://",
        "KV_NAMES": "kv.internal, KV",
        "KV_TOKENS": "tokens.json",
        "KV_REQUIRE_PRECONDITIONS": "on",
    }
    assert read_settings(environ) == Settings(
        "::1", 0, "memory://", ("kv.internal", "kv"), Path("tokens.json"), conditional=True
    )
    assert read_settings({}, conditional=True, insecure=True) == Settings(conditional=True, insecure=True)


def test_a_switch_is_on_or_off():
    with pytest.raises(BadSetting, match="KV_REQUIRE_PRECONDITIONS is 'yes'"):
        read_settings({"KV_REQUIRE_PRECONDITIONS": "yes"})


@pytest.mark.parametrize("port", ["x", "-1", "65536", "7001.5", "²"])
def test_not_ports(port):
    with pytest.raises(BadSetting, match="KV_PORT"):
        read_settings({"KV_PORT": port})


@pytest.mark.parametrize(
    ("host", "reach"), [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)]
)
def test_loopback_is_open(host, reach):
    check_reach(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "kv.internal"])
def test_beyond_loopback_only_if_asked_for(host):
    with pytest.raises(BadSetting, match="--insecure"):
        check_reach(Settings(host=host))
    check_reach(Settings(host=host, insecure=True))
    check_reach(Settings(host=host, tokens=Path("tokens.json")))


@pytest.mark.end_to_end
@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"KV_STORE": "sqlite://kv.db"}, "sqlite:///relative/path.db"),
        ({"KV_STORE": "sqlite:///"}, "sqlite:///relative/path.db"),
        ({"KV_STORE": "memory://x"}, "memory://"),
        ({"KV_STORE": "redis://x"}, "memory://, sqlite://"),
        ({"KV_STORE": "kv.db"}, "memory://, sqlite://"),
        ({"KV_PORT": "seven"}, "KV_PORT"),
        ({"KV_HOST": "0.0.0.0"}, "--insecure"),
        ({"KV_HOST": "0.0.0.0"}, "KV_TOKENS"),
        ({"KV_TOKENS": "/nowhere/tokens.json"}, "/nowhere/tokens.json cannot be read"),
        ({"KV_TOKENS": "README.md"}, "README.md is not JSON"),
    ],
)
def test_bad_settings_end_with_2(env, told):
    code, log = run(**{"KV_PORT": "0", "KV_STORE": "memory://", **env})
    assert (code, told in log) == (2, True)


@pytest.mark.end_to_end
def test_a_port_or_a_store_in_use_ends_with_1(tmp_path):
    with KvProcess(tmp_path) as first:
        port = first.url.rpartition(":")[2]
        code, log = run(KV_PORT=port, KV_STORE="memory://")
        assert (code, "cannot listen" in log) == (1, True)
        code, log = run(KV_PORT="0", KV_STORE=f"sqlite:///{tmp_path / 'kv.db'}")
        assert (code, f"held by process {first.pid}" in log) == (1, True)


@pytest.mark.end_to_end
def test_sigterm_answers_who_waits_and_keeps_everything(tmp_path):
    with KvProcess(tmp_path) as kv, socket.create_connection(kv.address, timeout=10) as waiting:
        waiting.sendall(b'GET /v1/kv/a?wait=60 HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: "0"\r\n\r\n')
        stored = fetch("PUT", f"{kv.url}/v1/kv/b", data=b"1")  # its answer comes after the other is held
        assert kv.terminate() == 0
        assert waiting.recv(9999).startswith(b"HTTP/1.1 304")
        kv.start()
        assert fetch("GET", f"{kv.url}/v1/kv/b").headers["ETag"] == stored.headers["ETag"]


@pytest.mark.end_to_end
def test_sigterm_ends_streams(tmp_path):
    with (
        KvProcess(tmp_path) as kv,
        EventSource(kv.address, "/v1/kv/a") as key,
        EventSource(kv.address, "/v1/kv/") as prefix,
    ):
        assert [event.kind for event in prefix.take(2)] == ["reset", "sync"]
        assert key.next().kind == "delete"
        fetch("PUT", f"{kv.url}/v1/kv/a", data=b"1")
        assert (key.next().data, prefix.next().json["value"]) == ("1", 1)
        assert kv.terminate() == 0
        assert key.ends()
        assert prefix.ends()


@pytest.mark.end_to_end
def test_a_failing_disk_ends_the_process_and_loses_nothing(tmp_path):
    large = b'"%b"' % (b"x" * 400_000)
    with KvProcess(tmp_path, shell="ulimit -f 200") as kv:
        assert fetch("PUT", f"{kv.url}/v1/kv/a", data=b"1").status_code == 201
        assert fetch("PUT", f"{kv.url}/v1/kv/a", data=large).status_code == 504
        wait_until(lambda: not kv.running)
        assert (kv.terminate(), "Traceback" in kv.tail()) == (1, False)
    with KvProcess(tmp_path) as again:
        assert fetch("GET", f"{again.url}/v1/kv/a").content == b"1"
        assert fetch("PUT", f"{again.url}/v1/kv/a", data=large).json()["revision"] == 2


@pytest.mark.end_to_end
def test_the_usual_limit_of_open_files_is_raised(tmp_path):
    with KvProcess(tmp_path, shell="ulimit -S -n 256") as kv:
        soft = re.search(r"Max open files +([0-9]+)", Path(f"/proc/{kv.pid}/limits").read_text())
    assert int(soft[1]) > 256


@pytest.mark.end_to_end
def test_under_gunicorn(tmp_path):
    port = free_port()
    url, env = f"http://127.0.0.1:{port}", {"KV_STORE": f"sqlite:///{tmp_path / 'kv.db'}"}
    command = python("gunicorn", "-w", "1", "-k", "gevent", "-b", f"127.0.0.1:{port}", "kv.wsgi:application")
    with Process(command, tmp_path / "log", env=env, ready=answers(f"{url}/-/readyz")) as gunicorn:
        assert fetch("PUT", f"{url}/v1/kv/a", data=b'{"a": 1}').status_code == 201
        assert fetch("PATCH", f"{url}/v1/kv/a", data=b'{"b": 2}').json()["revision"] == 2
        assert fetch("PUT", f"{url}/v1/kv/a", data=b"[" + b" " * 600_000).status_code == 413
        assert fetch("GET", f"{url}/v1/kv/a?history=1").json()["versions"][0]["version"] == 2
        assert "Traceback" not in gunicorn.tail()


@pytest.mark.end_to_end
def test_streams_under_gunicorn(tmp_path):
    port = free_port()
    url, env = f"http://127.0.0.1:{port}", {"KV_STORE": "memory://"}
    command = python("gunicorn", "-w", "1", "-k", "gevent", "-b", f"127.0.0.1:{port}", "kv.wsgi:application")
    with Process(command, tmp_path / "log", env=env, ready=answers(f"{url}/-/readyz")) as gunicorn:
        with EventSource(("127.0.0.1", port), "/v1/kv/a") as stream:
            assert stream.next().kind == "delete"
            for number in range(3):
                fetch("PUT", f"{url}/v1/kv/a", data=b"%d" % number)
                assert stream.next().data == str(number)
            begun = time.monotonic()
            assert gunicorn.terminate() == 0
            assert time.monotonic() - begun < 10, "it waited for the stream"
            assert stream.ends()
        assert "Traceback" not in gunicorn.tail()


def test_a_second_worker_says_who_has_the_store(tmp_path):
    from werkzeug.test import Client

    from kv.engine.sqlite import SqliteEngine

    with opened(SqliteEngine(tmp_path / "kv.db")):
        second = Client(Application({"KV_STORE": f"sqlite:///{tmp_path / 'kv.db'}"}))
        response = second.get("/-/readyz")
    assert (response.status_code, f"held by process {os.getpid()}" in response.json["detail"]) == (503, True)
