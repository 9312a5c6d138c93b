"""Where sweeps, comparisons and aggregates lie in the store, and the progress of a sweep, kept cell by cell.

`sweeps/date=YYYY-MM-DD/<id>.json` is the record; while the sweep runs, `<id>/plan.json` beside it holds what is swept
and `<id>/cell-NNNNN.json` each finished cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ValidationError

from flows.errors import ParameterError, StoreError
from flows.model import Frozen
from flows.records import dated_stem
from flows.sweep_model import Cell, GridSpec, KDistances

if TYPE_CHECKING:
    from flows.settings import Settings
    from flows.store import ObjectStore

Kind = Literal["sweeps", "comparisons", "aggregates"]


class SweepPlan(Frozen):
    """What a sweep was started with; sha256s of its files, so that a resumed sweep clusters the same trips."""

    id: str
    spec: GridSpec
    suggestion: KDistances | None
    sha256s: tuple[str, ...]


def key_of(kind: Kind, record_id: str) -> str:
    """Key of a record.

    Raises:
        ParameterError: it is no id.
    """
    return f"{dated_stem(f'{kind}/', record_id)}.json"


def put(store: ObjectStore, settings: Settings, key: str, content: BaseModel) -> None:
    """Store a model as JSON."""
    store.put_bytes(settings.experiments_bucket, key, content.model_dump_json(indent=2).encode())


def save_plan(store: ObjectStore, settings: Settings, plan: SweepPlan) -> None:
    """Keep what is swept, before the first cell."""
    put(store, settings, _folder(plan.id) + "plan.json", plan)


def load_plan(store: ObjectStore, settings: Settings, sweep_id: str) -> SweepPlan:
    """What an earlier sweep was started with.

    Raises:
        ParameterError: it is no id, or no sweep of that id was begun in this store.
        StoreError: its plan can't be read.
    """
    key = _folder(sweep_id) + "plan.json"
    if store.stat(settings.experiments_bucket, key) is None:
        raise ParameterError(
            f"no sweep {sweep_id} was begun in {store.describe()}: its id stands in the log of the run that began it."
        )
    try:
        return SweepPlan.model_validate_json(store.get_bytes(settings.experiments_bucket, key))
    except ValidationError as error:
        raise StoreError(
            f"{store.location(settings.experiments_bucket, key)} is no plan of a sweep: {error}"
        ) from error


def save_cell(store: ObjectStore, settings: Settings, sweep_id: str, index: int, cell: Cell) -> None:
    """Keep a finished cell."""
    put(store, settings, f"{_folder(sweep_id)}cell-{index:05}.json", cell)


def load_cells(store: ObjectStore, settings: Settings, sweep_id: str) -> dict[int, Cell]:
    """The cells that succeeded so far, by their place in the sweep."""
    bucket = settings.experiments_bucket
    cells = {}
    for found in store.list(bucket, f"{_folder(sweep_id)}cell-"):
        cell = Cell.model_validate_json(store.get_bytes(bucket, found.key))
        if cell.status == "ok":
            cells[int(found.key.removesuffix(".json")[-5:])] = cell
    return cells


def _folder(sweep_id: str) -> str:
    return dated_stem("sweeps/", sweep_id) + "/"


def resumed_plan(sweep_id: str | None) -> SweepPlan | None:
    """The plan of the sweep to go on with, from the store that the settings name; None where none is asked for.

    Raises:
        ParameterError: there is no such sweep.
    """
    if sweep_id is None:
        return None
    from flows.settings import load_settings
    from flows.store import open_store

    settings = load_settings()
    return load_plan(open_store(settings), settings, sweep_id)
