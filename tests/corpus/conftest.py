from tests.proxy.conftest import nothing_breaks

__all__ = ["nothing_breaks"]
