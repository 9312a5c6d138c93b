"""Every real file is clustered with the counts that its README states, or refused for the reason that it states."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.cluster import DBSCAN

from flows.adapters.registry import adapter_names, get_adapter
from flows.core.errors import SourceError, UnreadableFileError
from flows.core.settings import load_settings
from flows.datasets.zones import load_zone_table
from flows.model.parameters import experiment_spec
from flows.model.points import Points, SourceFile
from flows.model.spec import eps_to_metres
from flows.steps.ingest import open_source
from flows.steps.prepare import prepare
from flows.steps.suggest import suggest


class Counts(NamedTuple):
    """Of the pick-ups of one file."""

    rows: int
    zero: int
    outside: int


COORDINATES = {
    "coords/yellow_2016-01_s50k_days01-20.beanumber-nyctaxi.parquet": Counts(33_276, 542, 3),
    "coords/yellow_2016-01_s10k_days01-20.beanumber-nyctaxi.parquet": Counts(6_662, 103, 1),
    "coords/yellow_2009-01-15_12h-13h.celinewmk-dbscan.parquet": Counts(21_242, 0, 0),
    "coords/yellow_tripdata_2015-01_head2k.bhuvankumar007.csv": Counts(1_999, 41, 0),
    "coords/yellow_tripdata_2016-01_head2k.bhuvankumar007.csv": Counts(1_999, 36, 0),
    "coords/yellow_tripdata_2016-03_head2k.bhuvankumar007.csv": Counts(2_013, 13, 1),
    "coords/yellow_2016-01_s5k_camelcase_days01-20.azureml-examples.parquet": Counts(3_475, 63, 0),
    "coords/trip_duration_2016H1_1pct.guebin-DV2023.parquet": Counts(14_587, 0, 0),
    "coords/taxifare_2009-2015_with_time.gcp-tda.parquet": Counts(10_476, 0, 5),
    "coords/taxifare_2009-2015_no_time_60k.gcp-tda.parquet": Counts(59_620, 0, 58),
    "coords/green_2016-01_s50k_days01-20.beanumber-nyctaxi.parquet": Counts(32_922, 61, 8),
    "coords/green_2016-01_s10k_days01-20.beanumber-nyctaxi.parquet": Counts(6_559, 13, 0),
    "coords/green_2016-01_s5k_camelcase_days01-20.azureml-examples.parquet": Counts(3_481, 4, 0),
    # The README states 82 zero and 591 empty, 102 zero and 588 empty; nothing of strays; `null` is checked apart.
    "messy/yellow_month_samples_2009-2017_odd_months.yennanliu.parquet": Counts(5_010, 82, 7),
    "messy/green_month_samples_2009-2017_odd_months.yennanliu.parquet": Counts(2_254, 102, 0),
    # The first 500 rows of the hour that has neither zeros nor strays.
    "messy/yellow_2009-01-15_blank_header_first500.celinewmk-dbscan.csv": Counts(500, 0, 0),
}

ZONES = {
    **{
        f"zone_trips/gx_monthly/yellow_sample10k_{year}-{month:02}.great-expectations.parquet": 10_000
        for year, months in ((2017, 12), (2018, 12), (2019, 6))
        for month in range(1, months + 1)
    },
    "zone_trips/yellow_tripdata_2018-11-01_10k.deephaven-examples.parquet": 10_000,
    "zone_trips/yellow_tripdata_2024-01-01_before01h.hfxcarl.parquet": 5_573,
    "zone_trips/yellow_tripdata_2025-01_rows1-500.msmrnv1.csv": 500,
}

REFUSED = {
    **{
        f"messy/gx_misaligned/yellow_trip_data_sample_2016-{month}.great-expectations.csv.gz": "found"
        for month in ("01", "02", "03", "07", "08", "09")
    },
    "zone_trips/taxis_2019-03_zone_names.seaborn-data.parquet": "pickup_zone",  # names and boroughs instead of ids
    "messy/empty_zero_rows_2018.rockthejvm.parquet": "no rows",
    "zones/taxi_zone_lookup.csv": "LocationID",  # the zone table is no trip record
}

NO_TRIPS = {"zones/taxi_zones.shp", "zones/taxi_zones.shx", "zones/taxi_zones.dbf", "zones/taxi_zones.prj"}
NO_TRIPS |= {"zones/taxi_zones_wgs84.derived.geojson", "README.md"}

NO_POINT = {  # heads whose whole rows all lack a place: read, and refused as nothing is left
    "fhv_tripdata_2015-01": "33 null",
    "fhv_tripdata_2016-01": "33 null",
    "fhv_tripdata_2016-11": "33 null",
    "fhv_tripdata_2019-01": "18 null",
    "fhv_tripdata_2020-05": "18 null",
    "green_tripdata_2013-11": "6 zero",
    "green_tripdata_2014-01": "6 zero",
    "green_tripdata_2014-07": "6 zero",
}


def points_of(shared_data: Path, name: str, skip_truncated: bool = False) -> Points:
    path = shared_data / name
    settings = load_settings().model_copy(update={"skip_truncated": skip_truncated, "allow_mostly_dropped": True})
    spec = experiment_spec(str(path), use_minio=False)
    source = open_source((SourceFile(name, path, path.stat().st_size),), spec, settings)
    zones = load_zone_table(shared_data / "zones") if source.kind == "zones" else None
    return prepare(source, spec, settings, zones, n_jobs=2)


def test_each_file_is_judged(shared_data: Path) -> None:
    names = {str(path.relative_to(shared_data)) for path in shared_data.rglob("*") if path.is_file()}
    heads = {name for name in names if name.startswith("messy/tlc_heads/")}
    assert len(heads) == 65
    assert names - heads == set(COORDINATES) | set(ZONES) | set(REFUSED) | NO_TRIPS


@pytest.mark.parametrize("name", COORDINATES)
def test_coordinates(shared_data: Path, name: str) -> None:
    points, expected = points_of(shared_data, name), COORDINATES[name]
    assert points.kind == "coordinates"
    assert Counts(points.n_rows, points.dropped["zero"], points.dropped["outside"]) == expected
    empty = {"yellow_month": 591, "green_month_": 588}.get(Path(name).name[:12], 0)
    assert points.dropped["null"] == empty
    assert points.n_used == expected.rows - expected.zero - expected.outside - empty
    eps_m, min_samples = 200.0, 5
    unique = points.xy_m[points.inverse]
    oracle = DBSCAN(eps=eps_m, min_samples=min_samples, algorithm="kd_tree").fit(unique).labels_
    for adapter in adapter_names():
        fit = get_adapter(adapter).fit(points.xy_m, points.weights, eps_m, min_samples, 2)
        assert (fit.labels[points.inverse] == oracle).all(), adapter
    assert len(np.unique(oracle)) > 1


@pytest.mark.parametrize("name", ZONES)
def test_zones(shared_data: Path, name: str) -> None:
    points = points_of(shared_data, name)
    assert points.kind == "zones"
    assert points.n_rows == ZONES[name]
    assert points.n_unique <= 260
    assert points.n_used + points.dropped["unknown_zone"] + points.dropped["null"] == points.n_rows


@pytest.mark.parametrize("name", REFUSED)
def test_refused(shared_data: Path, name: str) -> None:
    with pytest.raises(SourceError, match=REFUSED[name]) as refusal:
        points_of(shared_data, name)
    assert Path(name).name in str(refusal.value)


@pytest.mark.parametrize("suffix", [".shp", ".dbf", ".prj", ".derived.geojson"])
def test_what_is_no_table_is_refused(shared_data: Path, suffix: str) -> None:
    name = "zones/taxi_zones" + ("_wgs84" if "geojson" in suffix else "") + suffix
    with pytest.raises(UnreadableFileError):
        points_of(shared_data, name)


def test_heads_are_read_without_their_cut_off_line(shared_data: Path) -> None:
    for path in sorted((shared_data / "messy/tlc_heads").glob("*.csv")):
        name = str(path.relative_to(shared_data))
        if path.stem in NO_POINT:
            with pytest.raises(SourceError, match=rf"no point is left \({NO_POINT[path.stem]}\)"):
                points_of(shared_data, name, skip_truncated=True)
        else:
            assert points_of(shared_data, name, skip_truncated=True).n_used > 0, name


@pytest.mark.parametrize(
    "name",
    [
        "coords/yellow_2016-01_s50k_days01-20.beanumber-nyctaxi.parquet",
        "coords/yellow_2009-01-15_12h-13h.celinewmk-dbscan.parquet",
        "coords/taxifare_2009-2015_no_time_60k.gcp-tda.parquet",
        "coords/green_2016-01_s50k_days01-20.beanumber-nyctaxi.parquet",
    ],
)
def test_most_suggested_eps_values_lead_to_hot_spots(shared_data: Path, name: str) -> None:
    points = points_of(shared_data, name)
    found = suggest(points, [20], seed=0, n_jobs=1)
    hot = []
    for eps in found.eps_values:
        labels = get_adapter("grid").fit(points.xy_m, points.weights, eps_to_metres(eps), 20, 1).labels
        trips = np.bincount(labels[labels >= 0], weights=points.weights[labels >= 0])
        hot.append(len(trips) > 1 and 2 * trips.max() <= points.n_used)
    assert len(hot) >= 4
    assert sum(hot) >= 3
