"""A made-up month of trips in TLC's 2016-01 yellow columns, for trying things out without a download.

It is labelled as synthetic in its file name and in its schema's metadata. Rows come in blocks of 2^16, each drawn from
its own generator seeded by (seed, block): a month is the same however it is cut into row groups, and a longer month
begins with the rows of a shorter one.
"""

from __future__ import annotations

import calendar
import math
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flows.core.atomic import replacing
from flows.core.errors import ParameterError
from flows.core.frozen import INT64_MAX
from flows.model.parameters import shown

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from flows.core.settings import Settings
    from flows.store import ObjectStore

BLOCK_ROWS = 1 << 16
GROUP_BLOCKS = 16

# Hot spots: longitude, latitude, standard deviation in metres, share of the trips. The shares add up to less than 1:
# the rest is spread over Manhattan and the boroughs.
_HOT_SPOTS = (
    (-73.9936, 40.7506, 90, 0.040),  # Penn Station
    (-73.9772, 40.7527, 90, 0.035),  # Grand Central
    (-73.9903, 40.7570, 80, 0.030),  # Port Authority
    (-73.9857, 40.7585, 120, 0.035),  # Times Square
    (-73.9904, 40.7359, 110, 0.025),  # Union Square
    (-73.9819, 40.7681, 100, 0.020),  # Columbus Circle
    (-73.9632, 40.7794, 80, 0.015),  # Metropolitan Museum
    (-74.0060, 40.7396, 110, 0.020),  # Meatpacking District
    (-74.0113, 40.7069, 120, 0.015),  # Wall Street
    (-73.7822, 40.6446, 130, 0.030),  # JFK, terminal 4
    (-73.7898, 40.6468, 90, 0.010),  # JFK, terminal 8
    (-73.8740, 40.7744, 110, 0.025),  # LaGuardia
    (-73.9533, 40.7144, 130, 0.010),  # Williamsburg
)
_MANHATTAN_SHARE = 0.60
_MANHATTAN = (-73.9740, 40.7570, 29.0, 1000.0, 6200.0)  # lon, lat, bearing of the avenues, half width, half length, m
_BOROUGHS = (-73.9500, 40.7150, 6500.0)  # lon, lat, standard deviation in metres
_ZERO_SHARE = 0.015
_OUTSIDE_SHARE = 0.0002
_OUTSIDE = (-73.137393, 41.366138)  # the coordinate at which some of TLC's own meters are stuck
_METRES_PER_DEGREE = 111_320.0

# Trips by hour of the day, about as in January 2016.
_HOURLY = (36, 28, 21, 15, 11, 10, 22, 38, 47, 48, 47, 49, 53, 52, 55, 53, 47, 55, 65, 66, 60, 58, 56, 48)


def synthetic_name(month: str = "2016-01") -> str:
    """File name of the synthetic month."""
    return f"synthetic_yellow_tripdata_{month}.parquet"


def write_synthetic_month(path: Path, rows: int = 20_000, seed: int = 0, month: str = "2016-01") -> None:
    """Write a parquet file of `rows` made-up yellow trips with coordinates.

    Memory is bounded by one row group (2^20 rows). The same arguments give the same file. About 1.5 % of the ends have
    zero coordinates and 0.02 % lie outside the city, as in TLC's months of that time.

    Raises:
        ParameterError: rows or seed is out of range, or a month that is not YYYY-MM.
    """
    if not 1 <= rows <= INT64_MAX:
        raise ParameterError(f"rows is {shown(rows)}: a synthetic month has from 1 to {INT64_MAX} rows.")
    if not 0 <= seed <= INT64_MAX:
        raise ParameterError(f"seed is {shown(seed)}: use a whole number from 0 to {INT64_MAX}.")
    first_second, month_seconds = _span(month)

    import pyarrow as pa
    import pyarrow.parquet as pq

    label = {"synthetic": "true", "made_by": "taxi-flows", "seed": str(seed), "rows": str(rows), "month": month}
    schema = _schema().with_metadata(label)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file, pq.ParquetWriter(file, schema) as writer:
        for blocks in _row_groups(rows):
            batches = [_block(seed, block, n, first_second, month_seconds, schema) for block, n in blocks]
            writer.write_table(pa.Table.from_batches(batches, schema).combine_chunks())


def put_synthetic_month(settings: Settings, store: ObjectStore, rows: int, seed: int, month: str) -> str:
    """Write such a month into the data bucket; gives its key.

    Raises:
        ParameterError: as `write_synthetic_month`.
        StoreError: the store did not take the file.
    """
    key = synthetic_name(month)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / key
        write_synthetic_month(file, rows, seed, month)
        store.put_file(settings.data_bucket, key, file)
    return key


def _span(month: str) -> tuple[int, int]:
    """Seconds since 1970 at which the month begins, and its length in seconds, by the local clock."""
    match = re.fullmatch(r"(\d{4})-(\d{2})", month)
    if match is None or not 1 <= int(match[2]) <= 12 or int(match[1]) < 1970:
        raise ParameterError(f"month is {month!r}: write it as YYYY-MM, such as 2016-01.")
    year, number = int(match[1]), int(match[2])
    return calendar.timegm((year, number, 1, 0, 0, 0)), calendar.monthrange(year, number)[1] * 86_400


def _row_groups(rows: int) -> Iterator[list[tuple[int, int]]]:
    """Blocks (index, rows) of each row group."""
    blocks = [(block, min(BLOCK_ROWS, rows - block * BLOCK_ROWS)) for block in range(math.ceil(rows / BLOCK_ROWS))]
    for start in range(0, len(blocks), GROUP_BLOCKS):
        yield blocks[start : start + GROUP_BLOCKS]


def _schema() -> pa.Schema:
    import pyarrow as pa

    second = pa.timestamp("us")
    return pa.schema(
        [
            ("VendorID", pa.int64()),
            ("tpep_pickup_datetime", second),
            ("tpep_dropoff_datetime", second),
            ("passenger_count", pa.int64()),
            ("trip_distance", pa.float64()),
            ("pickup_longitude", pa.float64()),
            ("pickup_latitude", pa.float64()),
            ("RatecodeID", pa.int64()),
            ("store_and_fwd_flag", pa.string()),
            ("dropoff_longitude", pa.float64()),
            ("dropoff_latitude", pa.float64()),
            ("payment_type", pa.int64()),
            ("fare_amount", pa.float64()),
            ("extra", pa.float64()),
            ("mta_tax", pa.float64()),
            ("tip_amount", pa.float64()),
            ("tolls_amount", pa.float64()),
            ("improvement_surcharge", pa.float64()),
            ("total_amount", pa.float64()),
        ]
    )


def _block(
    seed: int, block: int, rows: int, first_second: int, month_seconds: int, schema: pa.Schema
) -> pa.RecordBatch:
    """One block of trips. It is drawn whole and then cut to `rows`, so that its beginning doesn't depend on them."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng([seed, block])
    pickup_lon, pickup_lat = _ends(rng)
    dropoff_lon, dropoff_lat = _ends(rng)
    km = np.hypot((dropoff_lon - pickup_lon) * 84.0, (dropoff_lat - pickup_lat) * 111.0)
    km = np.where((pickup_lon == 0) | (dropoff_lon == 0) | (km > 60), 3.0, km)
    miles = np.round(0.4 + km * 0.8 * rng.uniform(0.9, 1.2, BLOCK_ROWS), 2)
    pickup = _pickup_seconds(rng, first_second, month_seconds)
    duration = (120 + miles * rng.uniform(150, 400, BLOCK_ROWS)).astype(np.int64)
    fare = np.round(2.5 + 2.5 * miles, 1)
    by_card = rng.random(BLOCK_ROWS) < 0.66
    tip = np.where(by_card, np.round(fare * 0.2, 2), 0.0)
    tolls = np.where(rng.random(BLOCK_ROWS) < 0.05, 5.54, 0.0)
    half = np.full(BLOCK_ROWS, 0.5)
    columns = (
        rng.integers(1, 3, BLOCK_ROWS),
        pickup * 1_000_000,
        (pickup + duration) * 1_000_000,
        rng.choice(np.array([1, 1, 1, 1, 1, 2, 2, 3, 5, 6]), BLOCK_ROWS),
        miles,
        pickup_lon,
        pickup_lat,
        np.ones(BLOCK_ROWS, np.int64),
        np.where(rng.random(BLOCK_ROWS) < 0.005, "Y", "N"),
        dropoff_lon,
        dropoff_lat,
        np.where(by_card, 1, 2),
        fare,
        half,
        half,
        tip,
        tolls,
        np.full(BLOCK_ROWS, 0.3),
        np.round(fare + 1.3 + tip + tolls, 2),
    )
    arrays = [pa.array(column[:rows], type=field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _pickup_seconds(rng: np.random.Generator, first_second: int, month_seconds: int) -> NDArray[np.int64]:
    """int64[BLOCK_ROWS] seconds since 1970 by the local clock, in no order, as in TLC's files."""
    import numpy as np

    hourly = np.array(_HOURLY, np.float64)
    day = rng.integers(0, month_seconds // 86_400, BLOCK_ROWS)
    hour = rng.choice(24, BLOCK_ROWS, p=hourly / hourly.sum())
    return first_second + day * 86_400 + hour * 3600 + rng.integers(0, 3600, BLOCK_ROWS)


def _ends(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitudes and latitudes of one end, each float64[BLOCK_ROWS] holding float32 values as TLC's files do."""
    import numpy as np

    n = BLOCK_ROWS
    spots = np.array(_HOT_SPOTS)
    borough_share = 1.0 - spots[:, 3].sum() - _MANHATTAN_SHARE
    part = rng.choice(len(spots) + 2, n, p=[*spots[:, 3], _MANHATTAN_SHARE, borough_share])
    normal = rng.standard_normal((2, n))
    uniform = rng.uniform(-1.0, 1.0, (2, n))

    lon0, lat0 = (
        np.array([*spots[:, 0], _MANHATTAN[0], _BOROUGHS[0]]),
        np.array([*spots[:, 1], _MANHATTAN[1], _BOROUGHS[1]]),
    )
    spread = np.array([*spots[:, 2], 0.0, _BOROUGHS[2]])[part]
    in_grid = part == len(spots)
    across, along = uniform[0] * _MANHATTAN[3], uniform[1] * _MANHATTAN[4]
    bearing = math.radians(_MANHATTAN[2])
    east = normal[0] * spread + in_grid * (across * math.cos(bearing) + along * math.sin(bearing))
    north = normal[1] * spread + in_grid * (along * math.cos(bearing) - across * math.sin(bearing))
    lat = lat0[part] + north / _METRES_PER_DEGREE
    lon = lon0[part] + east / (_METRES_PER_DEGREE * math.cos(math.radians(40.75)))

    chance = rng.random(n)
    zero, outside = chance < _ZERO_SHARE, chance > 1.0 - _OUTSIDE_SHARE
    lon = np.where(zero, 0.0, np.where(outside, _OUTSIDE[0], lon))
    lat = np.where(zero, 0.0, np.where(outside, _OUTSIDE[1], lat))
    return lon.astype(np.float32).astype(np.float64), lat.astype(np.float32).astype(np.float64)
