"""`check`: is this a config document?"""

from __future__ import annotations

from typing import BinaryIO

import click

from app.cli.output import json_option, print_json
from app.config.path import pointer
from app.config.schema import parse
from app.errors import InvalidConfig


@click.command()
@click.argument("file", type=click.File("rb"))
@json_option
@click.pass_context
def check(context: click.Context, file: BinaryIO, as_json: bool) -> None:
    """Check the config document in FILE, or in the input for "-".

    Every fault is one line: a JSON pointer and the reason. The exit status is 1 when there are any.
    """
    name = getattr(file, "name", "the input")
    try:
        parse(file.read())
        faults = []
    except InvalidConfig as invalid:
        faults = [{"pointer": pointer(place), "detail": why} for place, why in invalid.faults.items()]
    if as_json:
        print_json({"file": name, "valid": not faults, "faults": faults})
    else:
        for fault in faults:
            click.echo(f"{name}: {fault['pointer'] or 'document'}: {fault['detail']}", err=True)
        if not faults:
            click.echo(f"{name} is a valid config document")
    context.exit(1 if faults else 0)
