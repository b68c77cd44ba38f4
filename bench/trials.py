"""Trials by name: which of them are asked for, and what is found of each."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.findings import Finding

# In a folder of its own.
Trial = Callable[[Path], Finding]


def tried_out(name: str, trial: Trial) -> Finding:
    """What is found; a trial that cannot be made is a finding as well."""
    print(name, file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return trial(Path(folder))
        except (AssertionError, OSError) as error:
            return Finding(name, "–", str(error).splitlines()[0], holds=False)


def chosen(names: str, known: dict[str, Trial]) -> dict[str, Trial]:
    """Those with these names, all when there are none. Raises SystemExit for a name that none has."""
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if strange := wanted - set(known):
        raise SystemExit(f"{', '.join(sorted(strange))}: none of {', '.join(known)}")
    return {name: trial for name, trial in known.items() if not wanted or name in wanted}
