"""Serin: a canary-deployment proxy whose configuration changes while it serves."""

__version__ = "0.1.0"
