"""Judge each point of a stream and keep the used ones as grid keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from flows.core.settings import CityBox
from flows.kernels import collapse, locate
from flows.model.clock import MINUTES_OF_DAY, parse_hours, parse_weekdays
from flows.model.points import DROP_REASONS, NO_TIME, BadRows, Clock, DropReason, TripBatch
from flows.model.spec import ExperimentSpec, ends_of
from flows.steps.projection import grid_projection, pack, project, unpack

if TYPE_CHECKING:
    from flows.datasets.zones import ZoneTable

_STATUS: dict[DropReason, int] = {
    "null": locate.NULL,
    "zero": locate.ZERO,
    "outside": locate.OUTSIDE,
    "unknown_zone": locate.UNKNOWN_ZONE,
    "time": locate.TIME,
}
_THURSDAY = 3  # 1970-01-01
_KEPT_BYTES = 5
"""Of each used point: its place among the distinct ones, and that it is used."""
_COLLAPSE_BYTES = 16
"""Of each point of the file at hand besides: its key, among those of its batch and among those of the file."""

Located = tuple[NDArray[np.uint8], NDArray[np.int64]]


class Locator(Protocol):
    """Gives the status uint8[n] (flows.kernels.locate) and the grid key int64[n] of one end of each trip of a batch."""

    def __call__(self, batch: TripBatch, end: int) -> Located:
        """Judge one end."""


def by_coordinates(box: CityBox) -> Locator:
    """Points where the source's coordinates say."""
    projection = grid_projection(box)

    def locate_end(batch: TripBatch, end: int) -> Located:
        if batch.lon is None or batch.lat is None:
            raise TypeError("a source of coordinates gave a batch without them")
        return projection.locate(batch.lon[end], batch.lat[end])

    return locate_end


def by_zone(zones: ZoneTable) -> Locator:
    """Points at the centroids of their zones; an id that has no polygon is unknown."""
    size = int(zones.ids.max()) + 1
    key_of, known = np.zeros(size, np.int64), np.zeros(size, np.bool_)
    key_of[zones.ids] = pack(project(zones.lon, zones.lat))
    known[zones.ids] = True

    def locate_end(batch: TripBatch, end: int) -> Located:
        if batch.zone is None:
            raise TypeError("a source of zone ids gave a batch without them")
        zone = batch.zone[end]
        index = np.where((zone >= 0) & (zone < size), zone, 0)
        status = np.where((index == zone) & known[index], locate.USED, locate.UNKNOWN_ZONE).astype(np.uint8)
        status[zone == -1] = locate.NULL
        return status, key_of[index]

    return locate_end


@dataclass(frozen=True, eq=False)
class Collapsed:
    """Used points of one file: distinct keys int64[u] in first-occurrence order, and each point's place among them."""

    keys: NDArray[np.int64]
    inverse: collapse.Index


class Pool:
    """Keys of the used points and the fate of every point, in point order.

    A file that is read to its end is collapsed: what accumulates over months are distinct points, and five bytes for
    each row (its place among them, and whether it is used).
    """

    def __init__(self, spec: ExperimentSpec, locator: Locator, n_files: int, n_threads: int) -> None:
        self._locator, self._n_threads = locator, n_threads
        self._n_ends = len(ends_of(spec.coordinate_type))
        self._minutes = None if spec.hours is None else _table(parse_hours(spec.hours), MINUTES_OF_DAY)
        self._weekdays = None if spec.weekdays is None else _table(parse_weekdays(spec.weekdays), 7)
        self._keys: list[NDArray[np.int64]] = []
        self._files: list[Collapsed] = []
        self._file_index = 0
        self._kept: list[NDArray[np.bool_]] = []
        self._fates = np.zeros(256, np.int64)
        self.rows_per_file = [0] * n_files
        self.skipped_per_file = [BadRows()] * n_files
        self.clocks: frozenset[Clock] = frozenset()
        self.n_differing = 0

    def add(self, batch: TripBatch) -> None:
        """Judge one batch and keep what is used. Batches come file by file."""
        if batch.file_index != self._file_index:
            self._end_file()
            self._file_index = batch.file_index
        located = [self._locator(batch, end) for end in range(self._n_ends)]
        status = _interleave([status for status, _ in located])
        keys = _interleave([keys for _, keys in located])
        if batch.pickup_minute is not None:
            rows = status.reshape(batch.n_rows, self._n_ends)
            rows[~self._in_time(batch.pickup_minute)[:, None] & (rows == locate.USED)] = locate.TIME
        status = status.ravel()
        self._fates += np.bincount(status, minlength=256)
        used = np.empty(int(np.count_nonzero(status == locate.USED)), np.int64)
        locate.compact(status, keys, used)
        self._keys.append(used)
        self._kept.append(status == locate.USED)
        self.rows_per_file[batch.file_index] += batch.n_rows
        skipped = self.skipped_per_file[batch.file_index]
        self.skipped_per_file[batch.file_index] = skipped.extended(batch.bad_lines)
        self.clocks |= batch.clocks
        self.n_differing += batch.n_differing

    def _in_time(self, minute: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which pick-ups lie in the hours and on the weekdays asked for; one without a time does not."""
        chosen: NDArray[np.bool_] = minute != NO_TIME
        if self._minutes is not None:
            chosen &= self._minutes[minute % MINUTES_OF_DAY]
        if self._weekdays is not None:
            chosen &= self._weekdays[(minute // MINUTES_OF_DAY + _THURSDAY) % 7]
        return chosen

    def _end_file(self) -> None:
        """Collapse what was read since the last file's end; the batches' own keys are let go."""
        keys = np.concatenate(self._keys) if self._keys else np.empty(0, np.int64)
        self._keys.clear()
        xy_m, _, inverse = collapse.collapse(keys, n_blocks=self._n_threads)
        self._files.append(Collapsed(pack(xy_m), inverse))

    def points(self, drawn: NDArray[np.int64] | None) -> tuple[NDArray[np.float64], NDArray[np.int64], collapse.Index]:
        """Unique points, weights and inverse as `flows.kernels.collapse.collapse` gives them for all files' keys.

        Args:
            drawn: ascending places among the used points, where not all are wanted. It may be called once.
        """
        self._end_file()
        files = self._files if drawn is None else list(_drawn(self._files, drawn))
        self._files = []
        if len(files) == 1:
            return unpack(files[0].keys), _weights(files[0].inverse, len(files[0].keys)), files[0].inverse
        keys, sizes = np.concatenate([one.keys for one in files]), [len(one.keys) for one in files]
        inverses = [one.inverse for one in files]
        files.clear()
        xy_m, _, place = collapse.collapse(keys, n_blocks=self._n_threads)
        del keys
        inverse = np.empty(sum(map(len, inverses)), place.dtype)
        point = key = 0
        for size in sizes:
            local = inverses.pop(0)  # each is let go
            inverse[point : point + len(local)] = place[key : key + size][local]
            point, key = point + len(local), key + size
        return xy_m, _weights(inverse, len(xy_m)), inverse

    def kept(self) -> NDArray[np.bool_]:
        """bool[n_rows * n_ends]."""
        return np.concatenate(self._kept) if self._kept else np.empty(0, np.bool_)

    def dropped(self) -> dict[DropReason, int]:
        """Points left out, by reason."""
        return {reason: int(self._fates[_STATUS[reason]]) for reason in DROP_REASONS}

    @property
    def need_bytes(self) -> int:
        """What the used points so far take at the least, until they are collapsed."""
        n_in_file = sum(map(len, self._keys))
        return _KEPT_BYTES * self.n_used + _COLLAPSE_BYTES * n_in_file

    @property
    def n_used(self) -> int:
        """Points that are clustered, before sampling."""
        return int(self._fates[locate.USED])


def _table(chosen: frozenset[int], size: int) -> NDArray[np.bool_]:
    """bool[size], which of the numbers are chosen."""
    table = np.zeros(size, np.bool_)
    table[list(chosen)] = True
    return table


def _weights(inverse: collapse.Index, n_unique: int) -> NDArray[np.int64]:
    """How often each distinct point occurs.

    Raises:
        RuntimeError: some place of `inverse` is none of the points, or some point occurs nowhere.
    """
    weights = np.bincount(inverse, minlength=n_unique).astype(np.int64, copy=False)
    if len(weights) != n_unique or not weights.all():
        raise RuntimeError(f"{len(inverse):,} points do not collapse to {n_unique:,} distinct ones. Please report it.")
    return weights


def _drawn(files: list[Collapsed], drawn: NDArray[np.int64]) -> Iterator[Collapsed]:
    """The drawn points of each file, distinct ones in first-occurrence order anew."""
    first = 0
    for one in files:
        last = first + len(one.inverse)
        chosen = drawn[np.searchsorted(drawn, first) : np.searchsorted(drawn, last)] - first
        xy_m, _, inverse = collapse.collapse(one.keys[one.inverse[chosen]], n_blocks=1)
        yield Collapsed(pack(xy_m), inverse)
        first = last


_Item = TypeVar("_Item", np.uint8, np.int64)


def _interleave(columns: list[NDArray[_Item]]) -> NDArray[_Item]:
    """Pool the ends row by row: each row's pick-up, then its drop-off."""
    return columns[0] if len(columns) == 1 else np.column_stack(columns).ravel()
