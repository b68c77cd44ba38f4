"""What the benchmark of growing cost asks of Serin, and how it tells it."""

from __future__ import annotations

import pytest

from app.config import schema
from bench.fleet import MOST, address, document
from bench.measure import Sample
from bench.scale import CASES, COLUMNS, SERIES, Case, chosen, row, turns


def sample(cpu: float, rate: float) -> Sample:
    return Sample(cpu, rate, 1, 1, 1, 1, 50)


def test_every_server_has_an_address_of_its_own() -> None:
    addresses = {address(number) for number in range(MOST)}
    assert len(addresses) == MOST
    assert {each.rpartition(".")[2] for each in addresses} == {str(last) for last in range(1, 251)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.series}-{case.size}")
def test_every_document_is_valid(case: Case) -> None:
    config = schema.load(document(9000, case.servers, case.document))
    assert len(config.stable.servers) == case.servers
    assert len(config.canary.servers) == 1


def test_a_series_has_all_its_rounds_before_the_next_begins() -> None:
    cases = chosen("overrides,workers")
    order = [(case.series, number, case.size) for number, case in turns(cases, 2)]
    assert order == [
        *(("overrides", number, size) for number in range(2) for size in (0, 16, 256)),
        *(("workers", number, size) for number in range(2) for size in (1, 2)),
    ]


def test_ratios_to_the_first_size_are_taken_within_a_round() -> None:
    first, then = chosen("workers")
    samples = {
        ("ratio", 1): [sample(1, 1), sample(1, 1)],
        ("workers", 1): [sample(10, 1000), sample(20, 500)],
        ("workers", 2): [sample(20, 2000), sample(10, 1500)],
    }
    line = row(then, samples)
    assert len(line) == len(COLUMNS)
    assert line == ("workers", "2", "15.0 (10.0–20.0)", "1.25", "1,750 (1,500–2,000)", "2.50", "2", "50")
    assert row(first, samples)[3::2] == ("1.00", "1.00", "50")


def test_a_series_it_does_not_know_is_refused() -> None:
    assert chosen("") == list(CASES)
    with pytest.raises(SystemExit, match=rf"squares: none of {SERIES[0]}"):
        chosen("ratio, squares")
