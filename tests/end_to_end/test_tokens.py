"""A config server that wants tokens or proves who it is, and everybody who comes to it, as processes."""

from __future__ import annotations

import json

import pytest
from requests import request

from kv.tokens import make
from tests.support.kv_process import KvProcess
from tests.support.processes import wait_until
from tests.support.stack import KEY, Stack
from tests.support.tls import issue, write_authority

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def file(tmp_path):
    return tmp_path / "tokens.json"


def grant(file, *wanted):
    """Tokens of these names, each with the scopes that it may read and write; the file has them, and no others."""
    made = [make(name, read, write) for name, read, write in wanted]
    file.write_text(json.dumps([entry for _, entry in made]))
    return [token for token, _ in made]


def ask(method, url, token, data=None):
    return request(method, url, data=data, headers={"Authorization": f"Bearer {token}"}, timeout=10)


def test_new_tokens_come_into_force_and_no_token_into_the_log(tmp_path, file):
    (first,) = grant(file, ("first", [""], [""]))
    with KvProcess(tmp_path, KV_TOKENS=str(file), KV_HOST="0.0.0.0") as kv:
        url = f"{kv.url}/v1/kv/a".replace("0.0.0.0", "127.0.0.1")
        assert ask("PUT", url, first, b"1").status_code == 201
        assert ask("PUT", url, "wrong" * 9, b"2").status_code == 401
        file.write_text("[")
        wait_until(lambda: "what was there before stays in force" in kv.output())
        assert ask("PUT", url, first, b"3").status_code == 200
        (second,) = grant(file, ("second", ["a"], []))
        wait_until(lambda: ask("GET", url, second).status_code == 200)
        assert (ask("GET", url, first).status_code, ask("PUT", url, second, b"4").status_code) == (401, 403)
        assert kv.terminate() == 0
        log = kv.output()
        assert not any(secret in log for secret in (first, second, "wrong" * 9))
        assert "Traceback" not in log


@pytest.mark.parametrize("may_write", [True, False], ids=["writes", "only reads"])
def test_a_proxy_with_a_token(tmp_path, file, may_write):
    """With the right to write it brings its document and the schema of it; without, it does not mind."""
    operator, proxy = grant(
        file, ("operator", ["canary/"], ["canary/"]), ("proxy", [KEY], [KEY] if may_write else [])
    )
    stack = Stack(
        tmp_path,
        config={"ratio": 0},
        env={"CONFIG_TOKEN": proxy},
        kv_env={"KV_TOKENS": str(file)},
    )
    with stack:
        if may_write:
            wait_until(lambda: ask("GET", stack.schema_url, operator).ok, what="the schema")
            assert ask("PATCH", stack.document_url, operator, b'{"ratio": 7}').status_code == 422
        else:
            assert ask("PUT", stack.document_url, operator, stack.config_file.read_bytes()).status_code == 201
            wait_until(lambda: "has no schema from here" in stack.web.output(), what="the complaint")
        etag = ask("PATCH", stack.document_url, operator, b'{"ratio": 1}').json()["etag"]
        stack.wait_in_force(etag)
        assert stack.version() == "canary"
        assert proxy not in stack.web.output() + stack.kv.output()


def test_a_proxy_with_an_authority_of_its_own(tmp_path):
    """The config server is behind TLS; who has no CONFIG_CA does not believe it, and says so."""
    cert, key = issue(tmp_path)
    authority = write_authority(tmp_path)
    stack = Stack(
        tmp_path,
        config={"ratio": 0, "config_server": None},
        start=("stable", "canary"),
    )
    url = stack.kv_url.replace("http:", "https:")
    with stack, KvProcess(tmp_path, KV_TLS_CERT=str(cert), KV_TLS_KEY=str(key), KV_PORT=str(stack.kv_port)):
        env = {"CONFIG_SERVER": url}
        with stack.proxy(
            "believes", "fast_lane", stack.port, stack.admin_port, env | {"CONFIG_CA": authority}
        ):
            wait_until(lambda: stack.status()["config"]["source"] == "config_server", what="a config")
            etag = request(
                "PATCH", f"{url}/v1/kv/{KEY}", data=b'{"ratio": 1}', verify=authority, timeout=10
            ).json()["etag"]
            stack.wait_in_force(etag)
        with stack.proxy("doubts", "fast_lane", stack.port, stack.admin_port, env) as doubts:
            assert "see CONFIG_CA" in stack.status()["config"]["error"]
            assert "Traceback" not in doubts.output()
