"""How a command ends that cannot do what it was asked to: one line on standard error, and a status for scripts."""

from __future__ import annotations

import click


class Refused(click.ClickException):
    """The server said no: a failed condition, nothing there, bad content, no right to it."""

    exit_code = 1


class Unreachable(click.ClickException):
    """No server, or one that cannot do it now. Nothing was changed."""

    exit_code = 3


class OutcomeUnknown(click.ClickException):
    """The write may have happened."""

    exit_code = 4
