"""The config server: JSON documents over HTTP, with revisions, history and conditions."""

__version__ = "0.1.0"
