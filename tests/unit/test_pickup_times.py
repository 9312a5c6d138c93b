"""Times of every form, against Python's own datetime and zoneinfo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.model.points import NO_TIME
from flows.readers.columns import BadValueError
from flows.readers.times import to_minutes

NEW_YORK = ZoneInfo("America/New_York")
NAIVE = st.datetimes(datetime(1, 1, 4), datetime(9999, 12, 28))
OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def minutes_of(clock: datetime) -> int:
    """Minutes since 1970-01-01 00:00 of the clock as it stands."""
    return (clock.replace(tzinfo=None) - datetime(1970, 1, 1)) // timedelta(minutes=1)


def read(*texts: str | None, false_offsets: bool = False) -> list[int]:
    return to_minutes(pa.array(texts, pa.string()), false_offsets)[0].tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(NAIVE, min_size=1, max_size=5), st.sampled_from(" T"), st.sampled_from(["minutes", "auto"]))
def test_a_time_without_an_offset_is_the_clock_as_written(times: list[datetime], between: str, spec: str) -> None:
    assert read(*[time.isoformat(between, spec) for time in times]) == [minutes_of(time) for time in times]


@settings(max_examples=60, deadline=None)
@given(st.lists(NAIVE, min_size=1, max_size=5), st.data())
def test_a_time_with_an_offset_becomes_new_yorks(times: list[datetime], data: st.DataObject) -> None:
    aware = [time.replace(tzinfo=data.draw(OFFSETS)) for time in times]
    assert read(*[time.isoformat() for time in aware]) == [minutes_of(time.astimezone(NEW_YORK)) for time in aware]


@settings(max_examples=60, deadline=None)
@given(st.lists(NAIVE, min_size=1, max_size=5), st.sampled_from(["s", "ms", "us"]))
def test_an_instant_of_parquet_becomes_new_yorks(times: list[datetime], unit: str) -> None:
    aware = [time.replace(microsecond=0, tzinfo=UTC) for time in times]
    array = pa.array(aware, pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, "UTC"), safe=False)
    minutes, clocks = to_minutes(array)
    assert minutes.tolist() == [minutes_of(time.astimezone(NEW_YORK)) for time in aware]
    assert clocks == {"converted from UTC"}


@settings(max_examples=60, deadline=None)
@given(NAIVE, st.sampled_from(["%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p"]), st.booleans(), st.booleans())
def test_open_data_is_read_month_first_on_twelve_hours(time: datetime, form: str, zeros: bool, lower: bool) -> None:
    text = time.replace(year=max(time.year, 1000)).strftime(form)
    time = time.replace(year=max(time.year, 1000))
    if not zeros:
        date, clock, half = text.split(" ")
        month, day, year = date.split("/")
        text = f"{int(month)}/{int(day)}/{year} {clock.removeprefix('0')} {half}"
    minutes, clocks = to_minutes(pa.array([text.lower() if lower else text]))
    assert minutes.tolist() == [minutes_of(time)]
    assert clocks == {"12 hours, month first"}


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("03/25/2017 12:00:00 AM", 0),
        ("03/25/2017 12:59:59 AM", 0),
        ("3/25/2017 1:00 AM", 1),
        ("03/25/2017 11:59:59 AM", 11),
        ("03/25/2017 12:00:00 PM", 12),
        ("03/25/2017 12:30 PM", 12),
        ("03/25/2017 11:00:00 PM", 23),
    ],
)
def test_midnight_and_noon_of_twelve_hours(text: str, hour: int) -> None:
    [minute] = read(text)
    assert (minute // 60 % 24, minute // 1440) == (hour, minutes_of(datetime(2017, 3, 25)) // 1440)


@pytest.mark.parametrize(
    ("instant", "clock"),
    [
        ("2016-03-13T06:59:59Z", "2016-03-13 01:59"),  # the clocks go forward
        ("2016-03-13T07:00:00Z", "2016-03-13 03:00"),
        ("2016-11-06T05:59:59Z", "2016-11-06 01:59"),  # the clocks go back
        ("2016-11-06T06:00:00Z", "2016-11-06 01:00"),
        ("2016-01-01T04:59:59Z", "2015-12-31 23:59"),
    ],
)
def test_daylight_saving_time(instant: str, clock: str) -> None:
    assert read(instant) == [minutes_of(datetime.fromisoformat(clock))]


def test_offsets_that_are_known_to_be_false_are_left_alone() -> None:
    wanted = [minutes_of(datetime(2009, 1, 4, 2, 52))]
    assert read("2009-01-04T02:52:00.000+08:00", false_offsets=True) == wanted
    assert read("2009-01-04 02:52:00 UTC") == wanted
    clocks = to_minutes(pa.array(["2009-01-04 02:52:00 UTC", "2009-01-04 02:52:00"]))[1]
    assert clocks == {"as written", "as written, its offset is false"}


def test_times_before_1970_are_times() -> None:
    assert read("1969-12-31 23:59:00", None, "") == [-1, NO_TIME, NO_TIME]


def test_nanoseconds_are_read() -> None:
    assert read("2016-01-31 23:59:59.123456789") == [minutes_of(datetime(2016, 1, 31, 23, 59))]


@pytest.mark.parametrize(
    "text",
    [
        "2016-01-31",
        "2016-01-31 07",
        "2016-01-31 07:05:00 PM",
        "2016-02-30 07:05:00",
        "2016-13-01 07:05:00",
        "2016-01-31 24:00:00",
        "2016-01-31 07:60",
        "2016-01-31 07:05:61",
        "2016-01-31 07:05:00 EST",
        "2016-01-31 07:05:00+25:00",
        "2016-01-31 07:05:00x",
        "0000-01-01 00:00:00",
        "0001-01-01T00:00:00+12:00",
        "31/01/2016 7:05:00 AM",
        "01/31/2016 07:05:00",
        "01/31/2016 13:05:00 PM",
        "01/31/2016 0:05:00 AM",
        "02/29/2015 7:05:00 AM",
        "01-31-2016 7:05:00 AM",
        "1451606400",
        "noon",
    ],
)
def test_other_forms_are_refused_with_what_was_found(text: str) -> None:
    with pytest.raises(BadValueError, match="expected a time such as") as caught:
        read("2016-01-31 07:05:00", None, text)
    assert caught.value.index == 2
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1_451_606_400], pa.uint32()),
        pa.array([1_451_606_400_000], pa.int64()),
        pa.array([1_451_606_400.0]),
        pa.array([datetime(2016, 1, 31)], pa.date32()),
        pa.array([5], pa.duration("s")),
        pa.array([[1]]),
    ],
    ids=lambda array: str(array.type),
)
def test_other_types_are_refused_by_name(values: pa.Array) -> None:
    with pytest.raises(BadValueError, match=str(values.type).replace("[", r"\[").replace("<", "<")):
        to_minutes(values)


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
@pytest.mark.parametrize("stored", [300_000_000_000_000_000, -300_000_000_000_000_000, 2**63 - 1])
def test_years_outside_1_to_9999_are_refused(unit: str, stored: int) -> None:
    for zone in (None, "UTC"):
        with pytest.raises(BadValueError, match="of the years 1 to 9999") as caught:
            to_minutes(pa.array([0, stored]).cast(pa.timestamp(unit)).cast(pa.timestamp(unit, zone)))
        assert caught.value.index == 1


def test_nothing_is_read_of_no_times() -> None:
    minutes, clocks = to_minutes(pa.nulls(2))
    assert minutes.tolist() == [NO_TIME] * 2
    assert minutes.dtype == np.int64
    assert clocks == frozenset()
