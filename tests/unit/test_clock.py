"""Hours and weekdays are read as people write them, and kept in one form."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core.errors import ParameterError
from flows.model.clock import canonical_hours, canonical_weekdays, parse_hours, parse_weekdays
from flows.model.parameters import experiment_spec
from flows.operator.resources.schema import ExperimentSpecification


def minutes(*spans: tuple[int, int]) -> frozenset[int]:
    return frozenset(minute for start, end in spans for minute in range(start, end))


@pytest.mark.parametrize(
    ("hours", "expected", "kept"),
    [
        ("7-10", minutes((420, 600)), "7-10"),
        ("22-4", minutes((1320, 1440), (0, 240)), "22-4"),
        ("0-24", minutes((0, 1440)), "0-24"),
        ("07:00-10:00", minutes((420, 600)), "7-10"),
        ("7:30-9", minutes((450, 540)), "7:30-9:00"),
        ("23:30-24:00", minutes((1410, 1440)), "23:30-24:00"),
        ("23:30-0:30", minutes((1410, 1440), (0, 30)), "23:30-0:30"),
        ("7-10,16-19", minutes((420, 600), (960, 1140)), "7-10,16-19"),
        (" 16 - 19 , 7 \N{EN DASH} 10 ", minutes((420, 600), (960, 1140)), "7-10,16-19"),
        ("7\N{EM DASH}10", minutes((420, 600)), "7-10"),
        ("7-10,9-12", minutes((420, 720)), "7-12"),
        ("0-12,12-24", minutes((0, 1440)), "0-24"),
        ("22-24,0-4", minutes((1320, 1440), (0, 240)), "22-4"),
    ],
)
def test_hours(hours: str, expected: frozenset[int], kept: str) -> None:
    assert parse_hours(hours) == expected
    assert canonical_hours(hours) == kept
    assert experiment_spec("x", hours=hours).hours == kept
    assert ExperimentSpecification(data_source="x", hours=hours).hours == hours


@pytest.mark.parametrize(
    "hours",
    ["7", "7-7", "7-07:00", "24-3", "7-25", "7-24:30", "7:60-8", "-1-4", "morning", "", "7-10,", "7am-9am", "7-10\n"],
)
def test_bad_hours(hours: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(f"hours is {hours!r}")):
        experiment_spec("x", hours=hours)


def test_an_empty_span_among_others_is_named() -> None:
    with pytest.raises(ParameterError, match="7-07:00 is empty"):
        canonical_hours("16-19, 7-07:00")


@pytest.mark.parametrize(
    ("weekdays", "expected", "kept"),
    [
        ("mon-fri", {0, 1, 2, 3, 4}, "mon-fri"),
        ("Monday\N{EN DASH}Friday", {0, 1, 2, 3, 4}, "mon-fri"),
        ("sat,Sun", {5, 6}, "sat,sun"),
        (" SATURDAY - sunday ", {5, 6}, "sat,sun"),
        ("fri-mon", {4, 5, 6, 0}, "fri-mon"),
        ("wed", {2}, "wed"),
        ("Tues, thurs", {1, 3}, "tue,thu"),
        ("sun-sat", {0, 1, 2, 3, 4, 5, 6}, "mon-sun"),
    ],
)
def test_weekdays(weekdays: str, expected: set[int], kept: str) -> None:
    assert parse_weekdays(weekdays) == frozenset(expected)
    assert canonical_weekdays(weekdays) == kept
    assert experiment_spec("x", weekdays=weekdays).weekdays == kept
    assert ExperimentSpecification(data_source="x", weekdays=weekdays).weekdays == weekdays


@pytest.mark.parametrize("weekdays", ["", "mo", "mon-", "1-5", "someday", "sat,", "mondays", "sat sun"])
def test_bad_weekdays(weekdays: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(f"weekdays is {weekdays!r}")):
        experiment_spec("x", weekdays=weekdays)


MINUTES = st.integers(0, 1439)
SPANS = st.lists(st.tuples(MINUTES, MINUTES).filter(lambda span: span[0] != span[1]), min_size=1, max_size=4)


@given(SPANS)
def test_the_kept_hours_mean_the_same(spans: list[tuple[int, int]]) -> None:
    hours = ",".join("-".join(f"{minute // 60}:{minute % 60:02}" for minute in span) for span in spans)
    kept = canonical_hours(hours)
    assert kept is not None
    assert parse_hours(kept) == parse_hours(hours)
    assert canonical_hours(kept) == kept


@given(st.lists(st.sampled_from(["mon", "Tue", "sat", "sun-tue", "Thursday", "fri-mon"]), min_size=1, max_size=4))
def test_the_kept_weekdays_mean_the_same(days: list[str]) -> None:
    kept = canonical_weekdays(",".join(days))
    assert kept is not None
    assert parse_weekdays(kept) == parse_weekdays(",".join(days))
