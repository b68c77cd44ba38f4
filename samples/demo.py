"""The demo: all processes, visitors, and a rollout that goes its way by itself, told line by line.

    python -m samples.demo [--fails 0.05] [--plan FILE] [--once]

Goes on until it is told to end (Ctrl-C, SIGTERM, SIGHUP), or with --once ends with the rollout. The exit status is 0
then, and 1 when something does not run.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import NoReturn  # noqa: E402

import gevent  # noqa: E402

from samples.stage import ROOT, Ports, Stage, StageError  # noqa: E402
from samples.story import ENDS, Story, introduction, to_try  # noqa: E402
from samples.version import share  # noqa: E402
from samples.visitors import Visitors  # noqa: E402

PLAN = "config/rollout.demo.json"
# Requests a second.
RATE = 200.0
# Seconds before the rollout begins, and between two looks.
PROLOGUE, PERIOD = 1.0, 0.25


def play(stage: Stage, plan: Path, *, once: bool) -> int:
    """Until the rollout has ended, or for ever; 1 when something does not run, of which it says what."""
    visitors = Visitors(stage.ports["PORT"], RATE)
    story = Story(visitors)
    try:
        print(introduction(stage))
        stage.start()
        visitors.start()
        story.say(f"everything is up; {RATE:.0f} requests a second come, and stable answers them all")
        gevent.sleep(PROLOGUE)
        stage.begin(plan.read_bytes())
        end = _tell(stage, story)
        print(story.summary(stage.state()))
        if not once:
            print(to_try(stage, end, plan))
            _tell_on(stage, story)
    except StageError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        visitors.stop()
    return 0


def _tell(stage: Stage, story: Story) -> str:
    """How the rollout has ended."""
    while (state := story.go_on(stage.state())) not in ENDS:
        stage.require_running()
        gevent.sleep(PERIOD)
    return state


def _tell_on(stage: Stage, story: Story) -> NoReturn:
    """What becomes of those that somebody starts from then on."""
    while True:
        stage.require_running()
        story.go_on(stage.state())
        gevent.sleep(PERIOD)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m samples.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--fails", type=share, default=0.0, help="share of the canary's answers that are 503")
    parser.add_argument("--plan", type=Path, default=ROOT / PLAN, help=f"the rollout's plan ({PLAN})")
    parser.add_argument("--once", action="store_true", help="end with the rollout")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Plays until told to stop; the exit status."""
    flags = _parser().parse_args(argv)
    try:
        ports = Ports.chosen(os.environ)
        ports.require_free()
    except StageError as error:
        print(error, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="serin-demo-") as folder:
        stage = Stage(ports, Path(folder), fails=flags.fails)
        playing = gevent.spawn(play, stage, flags.plan, once=flags.once)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            gevent.signal_handler(number, playing.kill, block=False)
        playing.join()
        stage.stop()
        return playing.value if isinstance(playing.value, int) else 0


if __name__ == "__main__":
    sys.exit(main())
