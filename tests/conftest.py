"""The tests run as the processes do: patched before anything else is imported."""

from gevent import monkey

monkey.patch_all()
