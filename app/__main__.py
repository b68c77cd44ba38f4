"""`python -m app`: the proxy, and the commands that steer it."""

from gevent import monkey

monkey.patch_all()

from app.cli import main  # noqa: E402

if __name__ == "__main__":
    main(prog_name="python -m app")
