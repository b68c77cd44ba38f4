"""The tables of bench.proxy, and the page that keeps the results of all benchmarks.

Knows neither processes nor sockets; `machine` asks the system what it is.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from bench.measure import Sample

PAGE = Path(__file__).parent / "RESULTS.md"
INTRO = """# Results

Each table is of one run, on the day and the machine named above it. Machines differ and are noisy: only
ratios taken in one run mean anything.
"""
COLUMNS = (
    "proxy",
    "version",
    "CPU µs a request (least–most)",
    "× Serin (least–most)",
    "requests/s (least–most)",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "errors",
    "RSS MB",
)


def row(name: str, version: str, own: Sequence[Sample], serins: Sequence[Sample]) -> tuple[str, ...]:
    """One proxy's line: medians over the rounds; the ratio is taken within each round."""
    ratios = [mine.cpu_us / serin.cpu_us for mine, serin in zip(own, serins, strict=False)]
    p50, p99, p999, rss = (
        statistics.median(getattr(sample, figure) for sample in own)
        for figure in ("p50_ms", "p99_ms", "p999_ms", "rss_mb")
    )
    return (
        name,
        version,
        spread([sample.cpu_us for sample in own], "{:.1f}"),
        spread(ratios, "{:.2f}") if ratios else "–",
        spread([sample.rate for sample in own], "{:,.0f}"),
        f"{p50:.2f}",
        f"{p99:.2f}",
        f"{p999:.2f}",
        str(sum(sample.errors for sample in own)),
        f"{rss:.0f}",
    )


def without(name: str, reason: str) -> tuple[str, ...]:
    """The line of a proxy that was not measured."""
    return (name, "–", reason, *("–",) * (len(COLUMNS) - 3))


def spread(values: Sequence[float], form: str) -> str:
    """The median, and the least and the most."""
    show: Callable[[float], str] = form.format
    return f"{show(statistics.median(values))} ({show(min(values))}–{show(max(values))})"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine() -> str:
    """The day and the machine, on one line."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return (
        f"{date.today()}, {os.cpu_count()} cores ({model[1] if model else platform.machine()}), "
        f"Linux {platform.release()}, Python {platform.python_version()}"
    )


def keep(title: str, text: str, page: Path = PAGE) -> None:
    """Puts this section on the page, in place of the one with that title."""
    page.write_text(kept(page.read_text() if page.exists() else INTRO, title, text))


def kept(page: str, title: str, text: str) -> str:
    """The page with this section; at its end, where there was none with that title."""
    head, *sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    by_title = {section.partition("\n")[0]: section for section in sections}
    by_title[f"## {title}"] = f"## {title}\n\n{text}"
    return "\n\n".join(part.strip() for part in (head, *by_title.values())) + "\n"
