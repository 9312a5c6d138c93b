"""From what a person typed to a checked `ExperimentSpec`, before any data is touched."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Real

from pydantic import ValidationError

from flows.adapters.registry import get_adapter
from flows.core.errors import ParameterError
from flows.core.frozen import INT64_MAX
from flows.core.text import not_utf8
from flows.model import parameter
from flows.model.clock import canonical_hours, canonical_weekdays
from flows.model.spec import ExperimentSpec

_HELP = {
    "data_source": "give an object key or a path, a list of them, or a glob such as 'yellow_tripdata_2025-*.parquet'",
    "eps": "eps is a radius in kilometres, a finite number above 0, such as 0.5",
    "min_samples": f"min_samples is a whole number of trips, from 1 to {INT64_MAX}, such as 5",
    "coordinate_type": "use pickup, dropoff or both",
    "max_samples": f"max_samples is a whole number of points, from 1 to {INT64_MAX}, or None for all",
    "seed": f"seed is a whole number from 0 to {INT64_MAX}",
}

_MOST_SHOWN_BITS = 512
_MOST_EPS_KM = 20_038
"""Half the circumference of the Earth."""


def experiment_spec(
    data_source: str | Sequence[str],
    adapter_type: str = parameter.ADAPTER_TYPE,
    eps: float = parameter.EPS_KM,
    min_samples: int = parameter.MIN_SAMPLES,
    coordinate_type: str = "pickup",
    use_location_ids: bool = True,
    max_samples: int | None = None,
    use_minio: bool = True,
    seed: int = 0,
    hours: str | None = None,
    weekdays: str | None = None,
) -> ExperimentSpec:
    """Check the parameters of one experiment.

    Raises:
        ParameterError: a value is out of range; the message names the parameter, the value and what is accepted.
    """
    return spec_of(locals())


def spec_of(parameters: Mapping[str, object]) -> ExperimentSpec:
    """Check the parameters of one experiment, by name, as a flow or a command got them; other names are passed over.

    Raises:
        ParameterError: as `experiment_spec`.
    """
    given = {name: parameters[name] for name in ExperimentSpec.model_fields if name in parameters}
    get_adapter(given.get("adapter_type", parameter.ADAPTER_TYPE))
    for name in ("hours", "weekdays"):
        if not isinstance(given.get(name), str | None):
            raise ParameterError(f"{name} is {shown(given[name])}: use text, or None for all.")
    values = {name: plain(value) for name, value in given.items()}
    if isinstance(values["data_source"], str):
        values["data_source"] = [values["data_source"]]
    _check_names(values["data_source"])
    values |= {
        "hours": canonical_hours(_text(values, "hours")),
        "weekdays": canonical_weekdays(_text(values, "weekdays")),
    }
    try:
        spec = ExperimentSpec.model_validate(values)
    except ValidationError as error:
        raise ParameterError(_explain(error)) from error
    if spec.eps > _MOST_EPS_KM:
        raise ParameterError(f"eps is {spec.eps!r} km: no two places on Earth are more than {_MOST_EPS_KM:,} km apart.")
    if spec.eps_m == 0:
        raise ParameterError(
            f"eps is {spec.eps!r} km, less than the grid of 2^-10 m that points lie on: use a larger eps."
        )
    return spec


def _text(values: Mapping[str, object], name: str) -> str | None:
    value = values.get(name)
    return value if isinstance(value, str) else None


def _check_names(data_source: object) -> None:
    """Refuse names that no record can hold."""
    for name in data_source if isinstance(data_source, list) else []:
        if isinstance(name, str) and not_utf8(name):
            raise ParameterError(
                f"data_source is {name!r}: the name is not UTF-8, which records are written in. Rename the file, or "
                "name it by a glob."
            )


def _explain(error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        name = str(fault["loc"][0])
        lines.append(f"{name} is {shown(fault['input'])}: {_HELP.get(name, fault['msg'])}.")
    return " ".join(lines)


def plain(value: object) -> object:
    """A value that Python code passed, as JSON would have it: of NumPy and pandas, paths and fractions too.

    What has no such form is given back as it is, and refused where it is checked.
    """
    if value is None or isinstance(value, str | bool) or type(value) in (int, float):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real | Decimal | Fraction):
        return float(value)
    if isinstance(value, list | tuple | range | set | frozenset):
        return [plain(one) for one in value]
    if hasattr(value, "dtype") and callable(listed := getattr(value, "tolist", None)):
        held = listed()
        return plain(held) if isinstance(held, list | str | bool | int | float) else held
    return value


def check_storable(parameters: Mapping[str, object]) -> None:
    """Refuse what JSON, Prefect's API and its database can't hold, wherever it stands in the parameters.

    Raises:
        ParameterError: a number is not finite, or a whole number beyond 64 bits; or text is not UTF-8, or holds a zero
            character.
    """
    for name, value in parameters.items():
        _check_value(name, value)


def _check_value(name: str, value: object) -> None:
    if isinstance(value, int) and not -INT64_MAX <= value <= INT64_MAX:
        raise ParameterError(f"{name} is {shown(value)}: use a whole number up to {INT64_MAX}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ParameterError(f"{name} is {value!r}: use a finite number.")
    if isinstance(value, str) and (not_utf8(value) or "\0" in value):
        raise ParameterError(f"{name} is {value!r}: use text of UTF-8 without zero characters.")
    if isinstance(value, list | tuple | set | frozenset):
        for one in value:
            _check_value(name, one)


def shown(value: object) -> str:
    """A value for a message; Python writes out no whole number of more than 4,300 digits."""
    if isinstance(value, int) and value.bit_length() > _MOST_SHOWN_BITS:
        return f"a number of {value.bit_length():,} bits"
    return repr(value)
