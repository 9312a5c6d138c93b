"""What a flow of one experiment gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from flows.core.errors import TaxiFlowsError
from flows.core.frozen import Frozen
from flows.model.metric import Metric
from flows.model.records import ExperimentRecord

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from flows.model.points import Points


class ExperimentResult(Frozen):
    """A recorded experiment. In the process that ran it, it also holds the points and their labels.

    location: where the record is, for people. Pickled or as JSON it is record and location alone.
    """

    record: ExperimentRecord
    location: str
    _points: Points | None = PrivateAttr(None)
    _labels: NDArray[np.int64] | None = PrivateAttr(None)
    _clusters: pa.Table | None = PrivateAttr(None)

    @classmethod
    def of(
        cls, record: ExperimentRecord, location: str, points: Points, labels: NDArray[np.int64], clusters: pa.Table
    ) -> ExperimentResult:
        """A result with all that the run knows.

        Args:
            record: as it is kept.
            location: of the record.
            points: n_unique points.
            labels: int64[n_unique].
            clusters: columns of flows.steps.clusters.SCHEMA.
        """
        result = cls(record=record, location=location)
        result._points, result._labels, result._clusters = points, labels, clusters
        return result

    @property
    def id(self) -> str:
        """The experiment's id."""
        return self.record.id

    @property
    def n_clusters(self) -> int:
        """How many clusters were found."""
        return self.record.clustering.n_clusters

    @property
    def overall_score(self) -> Metric:
        """The number that ranks settings, or the reason why there is none."""
        return self.record.overall_score

    def clusters(self) -> pd.DataFrame:
        """One row per cluster: columns of flows.steps.clusters.SCHEMA, `hull` as WKB.

        Raises:
            StoreError: the table is not at hand, and the store that the settings name does not have it.
        """
        from flows.steps.clusters import from_parquet, to_frame

        if self._clusters is not None:
            return to_frame(self._clusters)
        from flows.core.settings import load_settings
        from flows.store import open_store

        settings = load_settings()
        return to_frame(
            from_parquet(open_store(settings).get_bytes(settings.experiments_bucket, self.record.clusters_key))
        )

    def labels(self) -> NDArray[np.void]:
        """The label of each used point: `row`, `end` and `label`, as flows.steps.export.LABEL_DTYPE says.

        Raises:
            TaxiFlowsError: this is not the process that ran the experiment; labels are not stored.
        """
        if self._points is None or self._labels is None:
            raise TaxiFlowsError(
                f"the labels of {self.id} are not at hand: they are not stored, and this is not the process that made "
                "them. Run the experiment again with the parameters in `record.spec`: it gives the same labels."
            )
        from flows.steps.export import label_array

        return label_array(self._points, self._labels)

    def __getstate__(self) -> dict[object, object]:
        return {**super().__getstate__(), "__pydantic_private__": {"_points": None, "_labels": None, "_clusters": None}}

    def __str__(self) -> str:
        from flows.report.terminal import to_text

        return to_text(self.record, self.location)

    def __repr__(self) -> str:
        return f"<ExperimentResult {self.id}: {self.n_clusters} clusters>"
