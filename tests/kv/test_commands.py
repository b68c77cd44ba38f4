"""The commands of `python -m kv`, as scripts see them: what they print, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing, contextmanager
from itertools import islice

import gevent
import pytest
from click.testing import CliRunner
from gevent.server import StreamServer

from kv.cli import main
from kv.cli.client import Client
from kv.cli.events import follow
from kv.model import Meta
from kv.stream import Pace
from kv.tokens import digest
from tests.support.kv_helpers import serving
from tests.support.processes import ROOT, free_port, wait_until


@pytest.fixture
def url(store):
    with serving(store) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def kv(url):
    """A function from arguments (and standard input) to what came of the command, asked of a server."""

    def run(*arguments, stdin=None, env=None):
        return CliRunner(env={"KV_URL": url, **(env or {})}).invoke(main, arguments, input=stdin)

    return run


def put(store, key, value, note=""):
    return store.put(key, value, (), Meta("ann", note))


@contextmanager
def answering(*answers):
    """A server that gives each request one of these answers and hangs up; its URL, and the requests."""
    requests = []

    def serve(connection, _peer):
        requests.append(connection.recv(9999))
        connection.sendall(answers[min(len(requests), len(answers)) - 1])

    with closing(StreamServer(("127.0.0.1", 0), serve)) as server:
        server.start()
        yield f"http://127.0.0.1:{server.server_port}", requests


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def ended(result):
    return result.exit_code, result.stdout, result.stderr


def test_get_gives_the_bytes(kv, store):
    put(store, "a", b'{"x":  "\xc3\xa9"}\n')
    result = kv("get", "a")
    assert (result.exit_code, result.stdout_bytes) == (0, b'{"x":  "\xc3\xa9"}\n')


def test_get_an_old_version(kv, store):
    put(store, "a", b"1")
    put(store, "a", b"2")
    assert kv("get", "a", "--rev", "1").stdout == "1"
    told = json.loads(kv("get", "a", "--rev", "1", "--json").stdout)
    assert (told["key"], told["revision"], told["value"]) == ("a", 1, 1)
    assert told["etag"] == store.version("a", 1).version.etag


def test_get_nothing(kv):
    assert ended(kv("get", "a")) == (1, "", "Error: there is nothing under this key\n")


@pytest.mark.parametrize("way", ["argument", "file", "dash", "stdin"])
def test_put_takes_the_document(kv, store, tmp_path, way):
    file = tmp_path / "document.json"
    file.write_bytes(b' {"x": 1}\n')
    arguments = {
        "argument": [' {"x": 1}\n'],
        "file": ["--file", str(file)],
        "dash": ["--file", "-"],
        "stdin": [],
    }[way]
    result = kv("put", "a", *arguments, stdin=file.read_bytes())
    etag = store.get("a").version.etag
    assert ended(result) == (0, f"a: revision 1, ETag {etag}\n", "")
    assert store.get("a").value == b' {"x": 1}\n'


def test_put_the_same_again(kv, store):
    put(store, "a", b"1")
    assert kv("put", "a", "1").stdout.startswith("a: unchanged since revision 1, ETag 1-")


def test_put_says_who_and_why(kv, store):
    kv("put", "a", "1", "--author", "Zoë", "--note", "für alle")
    assert store.get("a").version.meta.author == "Zoë"
    assert store.get("a").version.meta.note == "für alle"


def test_conditions(kv, store):
    etag = put(store, "a", b"1").item.version.etag
    assert kv("put", "a", "2", "--if-absent").exit_code == 1
    assert kv("put", "b", "2", "--if-match", "*").exit_code == 1
    assert kv("put", "a", "2", "--if-match", f'"{etag}"').exit_code == 0
    late = kv("put", "a", "3", "--if-match", etag)
    assert (late.exit_code, store.get("a").version.etag in late.stderr, late.stderr.count("\n")) == (
        1,
        True,
        1,
    )
    assert kv("delete", "a", "--if-match", etag).exit_code == 1
    assert store.get("a").value == b"2"


def test_what_is_wrong_with_a_document_is_told_in_one_line(kv):
    code, out, err = ended(kv("put", "a", '{"x": NaN, "y": {"z": 1, "z": 2}}'))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "/x" in err
    assert "/y/z" in err


def test_delete(kv, store):
    put(store, "a", b"1")
    assert ended(kv("delete", "a")) == (0, "a: deleted, revision 2\n", "")
    assert kv("delete", "a").exit_code == 1


def test_rollback(kv, store):
    put(store, "a", b"1")
    put(store, "a", b"2")
    assert kv("rollback", "a", "1", "--note", "back").exit_code == 0
    assert (store.get("a").value, store.get("a").version.meta.note) == (b"1", "back")
    assert kv("rollback", "a", "9").exit_code == 1


def test_list(kv, store):
    for key in ("b", "a/c", "a/b"):
        put(store, key, b"1")
    lines = kv("list").stdout.splitlines()
    assert lines[0].split() == ["KEY", "REVISION", "SIZE", "MODIFIED", "ETAG"]
    assert [line.split()[0] for line in lines[1:]] == ["a/b", "a/c", "b"]
    assert kv("list", "a").stdout == kv("list", "a/").stdout == "\n".join(lines[:3]) + "\n"
    assert [item["key"] for item in json.loads(kv("list", "a", "--json").stdout)] == ["a/b", "a/c"]


def test_list_gets_all_pages(kv, store):
    for number in range(1_001):
        put(store, f"k{number:04}", b"1")
    assert len(json.loads(kv("list", "--json").stdout)) == 1_001


def test_history(kv, store):
    put(store, "a", b"1", "first")
    store.delete("a", (), Meta("bob", "evil \x1b[2J"))
    put(store, "a", b"123")
    lines = [line.split() for line in kv("history", "a").stdout.splitlines()]
    assert [line[0] for line in lines] == ["REVISION", "3", "2", "1"]
    assert lines[2][3:] == ["deleted", "–", "bob", "evil", "\N{REPLACEMENT CHARACTER}[2J"]
    assert lines[3][-2:] == ["ann", "first"]
    assert [each["revision"] for each in json.loads(kv("history", "a", "-n", "2", "--json").stdout)] == [3, 2]


def test_watch_a_key(kv, store):
    first = put(store, "a", b"1").item.version.etag
    watching = gevent.spawn(kv, "watch", "a", "--count", "2")
    wait_until(lambda: store.hub.watchers)
    second = put(store, "a", b'{"x": 2}').item.version.etag
    assert watching.get(timeout=5).stdout.splitlines() == [f"put a {first} 1", f'put a {second} {{"x":2}}']
    assert kv("watch", "b", "--count", "1").stdout == "delete b\n"


def test_watch_a_prefix_as_json(kv, store):
    put(store, "a/b", b"1")
    lines = kv("watch", "a/", "--count", "3", "--json").stdout.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["reset", "put", "sync"]
    assert json.loads(lines[1])["value"] == 1


def test_a_watch_outlives_its_streams(store):
    first = put(store, "a", b"1").item.version.etag
    with serving(store, pace=Pace(shortest=0.05, longest=0.05)) as server:
        runner = CliRunner(env={"KV_URL": f"http://127.0.0.1:{server.server_port}"})
        watching = gevent.spawn(runner.invoke, main, ["watch", "a", "-n", "2"])
        for watched in (True, False, True):
            wait_until(lambda watched=watched: bool(store.hub.watchers) is watched)
        second = put(store, "a", b"2").item.version.etag
        result = watching.get(timeout=10)
    assert ended(result) == (0, f"put a {first} 1\nput a {second} 2\n", "")


def test_a_watch_outlives_its_connections():
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    first, second = (chunk(b"id: %d-x\nevent: put\ndata: %d\n\n" % (number, number)) for number in (1, 2))
    notices, pauses = [], []
    with answering(head + first, head + chunk(b": 1\n"), b"", head + second) as (url, requests):
        changes = follow(Client([url]), "/v1/kv/a", notices.append, pauses.append)
        assert [event.data for event in islice(changes, 2)] == ["1", "2"]
    assert (len(notices), len(pauses)) == (3, 3)
    assert [b"Last-Event-ID: 1-x" in request for request in requests] == [False, True, True, True]


@pytest.mark.parametrize(
    "arguments",
    [
        ["get"],
        ["get", "a/"],
        ["get", "../a"],
        ["get", "a", "--rev", "x"],
        ["get", "a", "--url", "localhost:7001"],
        ["get", "a", "--url", "http://localhost:7001/v1"],
        ["get", "a", "--url", ","],
        ["get", "a", "--token", "two words"],
        ["get", "a", "--ca", "/nowhere.pem"],
        ["put", "a", "1", "--if-match", "x y"],
        ["put", "a", "1", "--if-match", "x", "--if-absent"],
        ["put", "a", "1", "--file", "-"],
        ["put", "a", "--file", "/nowhere.json"],
        ["list", "a//b"],
        ["history", "a", "-n", "0"],
        ["rollback", "a"],
        ["nonsense"],
        ["--nonsense"],
    ],
)
def test_wrong_usage_ends_with_2(kv, arguments):
    result = kv(*arguments)
    assert (result.exit_code, result.stdout, "Error: " in result.stderr) == (2, "", True)


def test_nobody_there_ends_with_3(kv):
    result = kv("get", "a", "--url", f"http://127.0.0.1:{free_port()},http://127.0.0.1:{free_port()}")
    assert (result.exit_code, result.stderr.count("cannot be reached")) == (3, 2)
    assert kv("watch", "a", "--url", f"http://127.0.0.1:{free_port()}").exit_code == 3


def test_the_first_that_answers_is_asked(kv, url, store):
    assert kv("put", "a", "1", "--url", f"http://127.0.0.1:{free_port()},{url}").exit_code == 0
    assert store.get("a").value == b"1"


@pytest.mark.parametrize(
    ("command", "code"), [(["get", "a"], 3), (["put", "a", "1"], 4), (["delete", "a"], 4)]
)
def test_an_answer_that_never_came(command, code):
    with answering(b"") as (url, _):
        result = CliRunner().invoke(main, [*command, "--url", url])
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1)


def test_who_is_no_config_server():
    with answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n<p>Hi") as (url, _):
        result = CliRunner().invoke(main, ["get", "a", "--url", url])
    assert (result.exit_code, "answered 404 Not Found" in result.stderr) == (1, True)


def test_proxies_of_the_environment_are_not_asked(kv, store):
    put(store, "a", b"1")
    nowhere = f"http://127.0.0.1:{free_port()}"
    assert kv("get", "a", env={"http_proxy": nowhere, "HTTP_PROXY": nowhere, "no_proxy": ""}).stdout == "1"


@pytest.mark.end_to_end
def test_as_a_process(url, store):
    done = subprocess.run(
        [sys.executable, "-m", "kv", "put", "a", "--if-absent", "--json"],
        input=b'{"x": 1}',
        env={**os.environ, "CONFIG_SERVER": url},
        cwd=ROOT,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, json.loads(done.stdout)["revision"], done.stderr) == (0, 1, b"")


def test_a_token_and_its_entry(kv):
    result = kv("token", "ann", "--read", "canary/", "--read", "/", "--write", "canary/config", "--json")
    made = json.loads(result.stdout)
    entry = {"name": "ann", "read": ["canary/", ""], "write": ["canary/config"]}
    assert (result.exit_code, made["entry"]) == (0, entry | {"sha256": digest(made["token"])})
    shown = kv("token", "ann").stdout.splitlines()
    assert [line.partition(":")[0] for line in shown] == ["token", "entry"]
    assert json.loads(shown[1].removeprefix("entry:"))["sha256"] == digest(
        shown[0].removeprefix("token:").strip()
    )


@pytest.mark.parametrize("arguments", [["a b"], ["ann", "--read", "a//b"], ["ann", "--write", "../x"]])
def test_no_token_of_an_odd_name_or_scope(kv, arguments):
    result = kv("token", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
