"""`python -m kv`: the config server, and the commands that ask one."""

from gevent import monkey

monkey.patch_all()

from kv.cli import main  # noqa: E402

if __name__ == "__main__":
    main(prog_name="python -m kv")
