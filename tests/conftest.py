"""The tests run as the processes do: patched before anything else is imported."""

from gevent import monkey

monkey.patch_all()

import pytest  # noqa: E402

from tests.support.etcd import INSTALLED  # noqa: E402


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Lest nobody misses the tests that did not run."""
    if not INSTALLED:
        terminalreporter.section("etcd is not installed: nothing of it was tested", red=True, bold=True)
        terminalreporter.line("on Debian: apt-get install etcd-server")
