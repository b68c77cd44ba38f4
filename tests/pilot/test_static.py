"""The dashboard's files: all there, all ours, and nothing else."""

from __future__ import annotations

import re

import pytest
from werkzeug.test import Client

from app.config.keys import KeyClient
from app.pilot.api import Api
from app.pilot.pilot import Pilot
from app.pilot.static import FOLDER, files
from app.pilot.webhooks import Webhooks

_REFERENCE = re.compile(r'(?:src|href)="page/([^"]+)"|from "\./([^"]+)"')
_ELSEWHERE = re.compile(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}")


@pytest.fixture
def client() -> Client:
    return Client(Api(Pilot(KeyClient("http://127.0.0.1:9"), "shop/config", Webhooks(None))))


def text(name: str) -> str:
    return (FOLDER / name).read_text()


def test_the_page_may_load_nothing_from_elsewhere_and_nobody_may_frame_it(client):
    answer = client.get("/")
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", sorted(files()))
def test_each_file_is_served_and_revalidated(client, name):
    answer = client.get(f"/page/{name}")
    assert answer.data == (FOLDER / name).read_bytes()
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    again = client.get(f"/page/{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/page/", "/page/nothing.js", "/page/../static.py", "/page//etc/passwd", "/nothing"]
)
def test_there_is_nothing_else(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


def test_what_the_files_refer_to_is_there_and_all_of_it_is_referred_to():
    found = {name for each in files() for pair in _REFERENCE.findall(text(each)) for name in pair if name}
    assert found | {"index.html"} == files().keys()
    assert files().keys() == {path.name for path in FOLDER.iterdir()}


@pytest.mark.parametrize("name", sorted(files()))
def test_no_file_names_another_host(name):
    assert _ELSEWHERE.findall(text(name).replace("http://www.w3.org/2000/svg", "")) == []
