"""The counts on disk: one file, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from flows.atomic import replacing
from flows.errors import ExporterError
from flows.exporter.counts import State

FILE_NAME = "counts.json"

_STATE = TypeAdapter(State)


def load(folder: Path) -> State | None:
    """The counts of last time; None where there are none.

    Raises:
        ExporterError: the folder can't be used, or the file in it is none of ours.
    """
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _STATE.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ExporterError(f"{path}: {error.strerror}. Name a folder that can be written: --state-dir.") from error
    except ValidationError as error:
        raise ExporterError(
            f"{path} holds no counts of this version: {error.errors()[0]['msg']}. Move it away; counts then begin at 0."
        ) from error


def save(folder: Path, state: State) -> None:
    """Put the state in the place of the one before.

    Raises:
        OSError: it could not be written; the one before is still there.
    """
    with replacing(folder / FILE_NAME) as file:
        file.write(_STATE.dump_json(state))
