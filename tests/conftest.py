"""The tests run as the processes do: patched before anything else is imported."""

from gevent import monkey

monkey.patch_all()

from zlib import crc32  # noqa: E402

import pytest  # noqa: E402

from tests.support import browser, etcd, prometheus  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    """See tests.shards."""
    parser.addoption("--share", default="1/1", metavar="N/M", help="only these tests: share N of M")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of our share."""
    share, shares = map(int, config.getoption("--share").split("/"))
    ours = [item for item in items if crc32(item.nodeid.encode()) % shares == share - 1]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(ours)])
    items[:] = ours


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Lest nobody misses the tests that did not run."""
    for installed, name, packages in (
        (etcd.INSTALLED, "etcd", "etcd-server"),
        (prometheus.INSTALLED, "Prometheus", "prometheus"),
        (browser.INSTALLED, "Chromium", "chromium chromium-driver"),
    ):
        if not installed:
            terminalreporter.section(
                f"{name} is not installed: nothing of it was tested", red=True, bold=True
            )
            terminalreporter.line(f"on Debian: apt-get install {packages}")
