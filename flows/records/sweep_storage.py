"""Where sweeps, comparisons and aggregates lie in the store, and the progress of a sweep, kept cell by cell.

`sweeps/date=YYYY-MM-DD/<id>.json` is the record; while the sweep runs, the folder `<id>/` beside it holds:

- `plan.json`: what is swept;
- `cell-NNNNN.json`: each finished cell, by its place in the sweep;
- `chunk-NNN.json`: what the flow run that did a chunk of cells found out about the trips (`Facts`);
- `auto.json` and `suggestion.json`: what eps values are to be found for, and what was found;
- `labels/NNNNN.parquet`: labels of a comparison's cell, as long as they may have to be compared.

A comparison's is the same below `comparisons/`.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from flows.core.errors import ParameterError, StoreError
from flows.core.frozen import Frozen
from flows.model.sweeps import AutoGrid, Cell, Facts, GridSpec, KDistances
from flows.records.storage import dated_stem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flows.core.settings import Settings
    from flows.store import ObjectStore

Kind = Literal["sweeps", "comparisons", "aggregates"]
Kept = TypeVar("Kept", bound=BaseModel)

_NUMBER = re.compile(r"(\d+)\.json")

EXPIRING = {"expire": "labels-7d"}
"""The tag that MinIO's rule of the same name deletes objects by."""


class SweepPlan(Frozen):
    """What a sweep or comparison was started with.

    flow: the flow that was started. sha256s: of its files, so that all its cells cluster the same trips.
    chunks: places of the cells that one flow run each does; empty where all are done in the same process.
    """

    id: str
    spec: GridSpec
    suggestion: KDistances | None
    sha256s: tuple[str, ...]
    kind: Literal["sweeps", "comparisons"] = "sweeps"
    flow: str = "parameter_sweep_flow"
    chunks: tuple[tuple[int, ...], ...] = ()


class AutoPlan(Frozen):
    """A sweep whose eps values are still to be found."""

    id: str
    grid: AutoGrid
    sha256s: tuple[str, ...]
    flow: str


def key_of(kind: Kind, record_id: str) -> str:
    """Key of a record.

    Raises:
        ParameterError: it is no id.
    """
    return f"{dated_stem(f'{kind}/', record_id)}.json"


def put(store: ObjectStore, settings: Settings, key: str, content: BaseModel) -> None:
    """Store a model as JSON."""
    store.put_bytes(settings.experiments_bucket, key, content.model_dump_json(indent=2).encode())


class Folder:
    """What is kept of one sweep or comparison while it runs.

    Raises:
        ParameterError: the id is none.
    """

    def __init__(self, store: ObjectStore, settings: Settings, kind: Kind, sweep_id: str) -> None:
        self._store, self._settings, self._bucket = store, settings, settings.experiments_bucket
        self._prefix = dated_stem(f"{kind}/", sweep_id) + "/"

    def keep(self, name: str, content: BaseModel) -> None:
        """Store a model under that name."""
        put(self._store, self._settings, f"{self._prefix}{name}.json", content)

    def find(self, name: str, model: type[Kept]) -> Kept | None:
        """What is stored under that name; None where nothing is.

        Raises:
            StoreError: it can't be read.
        """
        key = f"{self._prefix}{name}.json"
        if self._store.stat(self._bucket, key) is None:
            return None
        return self._read(key, model)

    def keep_cell(self, place: int, cell: Cell) -> None:
        """Store a finished cell, in place of what an earlier attempt left."""
        self.keep(f"cell-{place:05}", cell)

    def cells(self, but: frozenset[int] = frozenset()) -> dict[int, Cell]:
        """The finished cells by their place, those that failed too; without those that are known already."""
        places = {place: key for place, key in self._numbered("cell") if place not in but}
        return {place: self._read(key, Cell) for place, key in places.items()}

    def done(self) -> dict[int, Cell]:
        """The cells that succeeded so far, by their place."""
        return {place: cell for place, cell in self.cells().items() if cell.status == "ok"}

    def keep_facts(self, chunk: int, facts: Facts) -> None:
        """Store what a chunk's flow run found out about the trips."""
        self.keep(f"chunk-{chunk:03}", facts)

    def facts(self) -> list[Facts]:
        """What is known of the trips, by chunk."""
        return [self._read(key, Facts) for _, key in self._numbered("chunk")]

    def keep_labels(self, place: int, labels: NDArray[np.int64], weights: NDArray[np.int64]) -> None:
        """Store a cell's labels, int32[n_unique], with the trips at each point; they expire after seven days."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({"label": labels.astype(np.int32), "trips": weights})
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        self._store.put_bytes(self._bucket, self.labels_key(place), buffer.getvalue(), EXPIRING)

    def labels_key(self, place: int) -> str:
        """Where a cell's labels lie."""
        return f"{self._prefix}labels/{place:05}.parquet"

    def _numbered(self, name: str) -> list[tuple[int, str]]:
        beginning = f"{self._prefix}{name}-"
        keys = [found.key for found in self._store.list(self._bucket, beginning)]
        numbers = [(_NUMBER.fullmatch(key[len(beginning) :]), key) for key in keys]
        return [(int(match[1]), key) for match, key in numbers if match]

    def _read(self, key: str, model: type[Kept]) -> Kept:
        try:
            return model.model_validate_json(self._store.get_bytes(self._bucket, key))
        except ValidationError as error:
            raise StoreError(f"{self._store.location(self._bucket, key)} can't be read: {error}") from error


def load_plan(store: ObjectStore, settings: Settings, sweep_id: str) -> SweepPlan:
    """What an earlier sweep was started with.

    Raises:
        ParameterError: it is no id, or no sweep of that id was begun in this store.
        StoreError: its plan can't be read.
    """
    plan = Folder(store, settings, "sweeps", sweep_id).find("plan", SweepPlan)
    if plan is None:
        raise ParameterError(
            f"no sweep {sweep_id} was begun in {store.describe()}: its id stands in the log of the run that began it."
        )
    return plan


def resumed_plan(sweep_id: str | None) -> SweepPlan | None:
    """The plan of the sweep to go on with, from the store that the settings name; None where none is asked for.

    Raises:
        ParameterError: there is no such sweep.
    """
    if sweep_id is None:
        return None
    if not isinstance(sweep_id, str):
        raise ParameterError(f"resume is {sweep_id!r}: give the id of a sweep, as the log of its run has it.")
    from flows.core.settings import load_settings
    from flows.store import open_store

    settings = load_settings()
    return load_plan(open_store(settings), settings, sweep_id)
