"""What the flows of sweeps, comparisons and aggregates give back."""

from __future__ import annotations

from flows.core.frozen import Frozen
from flows.model.sweeps import AggregateRecord, Cell, ComparisonRecord, SweepRecord


class SweepResult(Frozen):
    """A recorded sweep; prints as its table of cells."""

    record: SweepRecord
    location: str

    @property
    def id(self) -> str:
        """The sweep's id."""
        return self.record.id

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, in the order adapter, eps, min_samples."""
        return self.record.cells

    @property
    def best(self) -> Cell | None:
        """The best cell by the sweep's metric, None where no cell has it."""
        return None if self.record.best is None else self.record.cells[self.record.best]

    def __str__(self) -> str:
        from flows.report.terminal_sweeps import sweep_text

        return sweep_text(self.record, self.location)


class ComparisonResult(Frozen):
    """A recorded comparison of adapters; prints as its table."""

    record: ComparisonRecord
    location: str

    @property
    def id(self) -> str:
        """The comparison's id."""
        return self.record.id

    def __str__(self) -> str:
        from flows.report.terminal_sweeps import comparison_text

        return comparison_text(self.record, self.location)


class AggregateResult(Frozen):
    """Recorded statistics of some days; prints as their tables."""

    record: AggregateRecord
    location: str

    def __str__(self) -> str:
        from flows.report.terminal_sweeps import aggregate_text

        return aggregate_text(self.record, self.location)
