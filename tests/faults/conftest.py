from tests.proxy.conftest import front, nothing_breaks

__all__ = ["front", "nothing_breaks"]
