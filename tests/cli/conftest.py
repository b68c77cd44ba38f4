from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.config.keys import KeyClient
from tests.support.keys import CONFIG, config_server, connected, put

KEY = "shop/config"
Run = Callable[..., Result]


@pytest.fixture
def url() -> Iterator[str]:
    with config_server() as found:
        yield found


@pytest.fixture
def keys(url: str) -> Iterator[KeyClient]:
    with connected(url) as client:
        put(client, KEY, CONFIG)
        yield client


@pytest.fixture
def run(url: str) -> Run:
    def invoke(*arguments: str, **options: object) -> Result:
        environ = {"CONFIG_SERVER": url, "CONFIG_KEY": KEY}
        return CliRunner().invoke(main, arguments, env=environ, **options)

    return invoke
