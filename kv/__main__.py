"""`python -m kv`: the config server, and the commands that ask one."""

from __future__ import annotations

from kv.cli import main

if __name__ == "__main__":
    main(prog_name="python -m kv")
