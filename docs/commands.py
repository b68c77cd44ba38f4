"""The pages about the commands of `python -m kv` and of `python -m app`, out of their own help."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping

import click

HEAD = """# Commands of the config server

*Written by `python docs/generate.py` out of `kv/cli`; change it there.*

Without a command `python -m kv` is the config server; [running.md](running.md) has what it reads from the environment.
With one it is a client, of a server that runs already:

    $ python -m kv put canary/config --file config/canary.json --if-absent --note "first config"
    $ python -m kv watch canary/config
    $ python -m kv history canary/config
    $ python -m kv rollback canary/config 41 --note "the canary is ill"

What is printed is for people; with `--json` it is for programs. What goes wrong is one line on standard error, and the
exit status says what kind of thing it was:

| status | |
|---|---|
| 0 | done |
| 1 | refused: a condition does not hold, there is nothing there, the content is not valid, there is no right to it |
| 2 | wrong usage; nothing was asked |
| 3 | no server could be reached, or none that can do it now; nothing was changed |
| 4 | the outcome is not known: the write may have happened |
"""

APP_HEAD = """# Commands of the proxy

*Written by `python docs/generate.py` out of `app/cli`; change it there.*

Without a command `python -m app` is the proxy; with one it looks at a running service, or changes it. The commands find
the config server by CONFIG_SERVER, CONFIG_KEY and CONFIG_TOKEN, as the proxy does ([running.md](running.md)).

    $ python -m app ratio 10% --wait
    revision 7, ratio 0.05 → 0.1, applied by 3 of 3 instances in 41 ms
    $ python -m app set timeouts.head=5s retry.attempts=2 --note "slow database"
    $ python -m app rollback 6

What they change is checked first, and written only in place of what was read: nobody else's change is lost. On a
terminal they draw tables, into a pipe they print plain lines, with `--json` one JSON value. What goes wrong is on
standard error, and the exit status says what kind of thing it was:

| status | |
|---|---|
"""

SHARED = ("url", "token", "ca", "as_json")


def commands_page(group: click.Group) -> str:
    """Markdown."""
    context = click.Context(group, info_name="python -m kv")
    shared = next(_shared(command) for command in group.commands.values() if _shared(command))
    sections = [
        HEAD,
        _section("Serving", group, group.params),
        f"## Asking a server\n\nEvery command that asks a server knows these.\n\n{_table(shared)}",
        *(_command(command, context) for command in group.commands.values()),
    ]
    return "\n".join(sections)


def steering_page(group: click.Group, exits: Mapping[int, str]) -> str:
    """The same for `python -m app`."""
    context = click.Context(group, info_name="python -m app")
    head = APP_HEAD + "".join(f"| {status} | {meaning} |\n" for status, meaning in exits.items())
    return "\n".join([head, *_commands(group, context)])


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from _commands(command, click.Context(command, info_name=command.name, parent=context))
        else:
            yield _command(command, context)


def _command(command: click.Command, group: click.Context) -> str:
    usage = click.Context(command, info_name=command.name, parent=group).command_path
    arguments = " ".join(
        f"[{argument.human_readable_name}]" if not argument.required else argument.human_readable_name
        for argument in command.params
        if isinstance(argument, click.Argument)
    )
    own = [param for param in command.params if param not in _shared(command)]
    return _section(f"`{usage} {arguments}`".replace(" `", "`"), command, own)


def _section(title: str, command: click.Command, params: list[click.Parameter]) -> str:
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(command.help or "")).strip()
    return f"## {title}\n\n{text}\n\n{_table(params)}".rstrip() + "\n"


def _shared(command: click.Command) -> list[click.Parameter]:
    names = {param.name for param in command.params}
    return [param for param in command.params if param.name in SHARED] if names.issuperset(SHARED) else []


def _table(params: list[click.Parameter]) -> str:
    options = [param for param in params if isinstance(param, click.Option)]
    rows = "".join(f"| {' | '.join(_cells(option))} |\n" for option in options)
    return f"| option | default | |\n|---|---|---|\n{rows}" if rows else ""


def _cells(option: click.Option) -> Iterator[str]:
    value = "" if option.is_flag else f" {option.make_metavar(click.Context(click.Command('')))}"
    yield ", ".join(f"`{name}{value}`" for name in option.opts)
    variables = [option.envvar] if isinstance(option.envvar, str) else option.envvar or []
    default = option.default if isinstance(option.default, str | int) and not option.is_flag else ""
    yield ", else ".join(f"`{each}`" for each in [*variables, default] if each != "") or "–"
    yield (option.help or "").replace("|", "\\|")
