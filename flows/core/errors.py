"""Every error the project raises on purpose.

TaxiFlowsError              exit code 1: the work failed
├── ParameterError          exit code 2: a parameter is wrong; nothing was touched
├── SettingsError           exit code 2: an environment variable or settings file is wrong
├── SourceError             the data can't be used
│   ├── SourceNotFoundError     no such object or file
│   ├── UnreadableFileError     not a file, or corrupt, truncated, of another format
│   ├── DialectError            columns that are no trip record, or files that don't go together
│   ├── RowError                a row that is misaligned, cut off or holds text where a number belongs
│   └── MostlyDroppedError      more than half of the points would be dropped
├── ZoneTableError          the taxi zone table is missing or unreadable
├── MemoryLimitError        the work would pass the memory limit; nothing was started
├── OutOfMemoryError        memory was refused while the work went on; nothing was recorded
├── ThreadsError            threads can't be started, or not in a forked process
├── DaskError               the Dask scheduler does not answer or has no workers
├── DispatchError           Prefect has no such deployment, or does not answer the flow run that follows others
├── SweepFailedError        no cell of a sweep succeeded, or more failed than is allowed
├── StoreError              the object store refused or lost something
│   └── StoreAccessError        the keys are wrong, or their user may not do it
├── OutputError             a file that was asked for could not be written; the result is kept
├── PrefectServerError      the embedded Prefect server did not start
├── ServingError            the exporter or the operator can't start: its port is taken or may not be used
├── ExporterError           the exporter can't start: its folder or what lies there
├── DeclarationError        exit code 2: what a file declares for the cluster is wrong; nothing was touched
└── PlatformError           the platform can't be brought to what is declared, or can't be entered
    ├── PrefectApiError         Prefect's API does not answer, or refuses
    ├── ObjectError             an Experiment or ParameterSweep can't be run as it is
    └── ClusterError            Kubernetes does not answer or refuses, or an object is not there

A message says what failed, the value that was found, and what to do about it.
"""

from __future__ import annotations

import flows.core.startup  # noqa: F401  (before any other module of the project)


class TaxiFlowsError(Exception):
    """Base of all; `exit_code` is what the command line ends with."""

    exit_code = 1


class ParameterError(TaxiFlowsError, ValueError):
    """A parameter is wrong; raised before any data is touched."""

    exit_code = 2


class SettingsError(TaxiFlowsError, ValueError):
    """An environment variable or a secret file is wrong."""

    exit_code = 2


class SourceError(TaxiFlowsError):
    """The data can't be used; the message names the file."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """No such object in the store, or no such file."""


class UnreadableFileError(SourceError):
    """Not a regular file, or its bytes are not what its name promises."""


class DialectError(SourceError):
    """Columns that are no trip record, or files that don't go together."""


class RowError(SourceError):
    """A row is misaligned, cut off or holds text where a number belongs."""


class MostlyDroppedError(SourceError):
    """More than half of the points would be dropped."""


class ZoneTableError(TaxiFlowsError):
    """The taxi zone table is missing or unreadable."""


class MemoryLimitError(TaxiFlowsError):
    """The work would pass the memory limit; nothing was started."""


class OutOfMemoryError(TaxiFlowsError, MemoryError):
    """Memory was refused while the work went on; nothing was recorded."""


class ThreadsError(TaxiFlowsError, RuntimeError):
    """Threads can't be started here, or not in a process that was forked from one that had them."""


class DaskError(TaxiFlowsError):
    """The Dask scheduler that `TAXI_DASK_SCHEDULER` names does not answer, or has no workers."""


class DispatchError(TaxiFlowsError):
    """The flow runs of a sweep could not be started or followed; those that were started go on."""


class SweepFailedError(TaxiFlowsError):
    """No cell of a sweep succeeded, or more failed than `max_failed` allows; the record is kept all the same."""


class StoreError(TaxiFlowsError):
    """The object store refused a request, or gave back other bytes than were put."""


class StoreAccessError(StoreError):
    """The keys of the object store are wrong, or their user may not do it."""


class OutputError(TaxiFlowsError):
    """A file that was asked for could not be written; the result is in the store."""


class PrefectServerError(TaxiFlowsError):
    """The embedded Prefect server did not start."""


class ServingError(TaxiFlowsError):
    """The port of a service of ours is taken, or may not be used."""


class ExporterError(TaxiFlowsError):
    """The exporter can't start: its folder of counts can't be used."""


class ExporterStateError(ExporterError):
    """The exporter's counts on disk are none of this version, or can't be right."""


class DeclarationError(TaxiFlowsError, ValueError):
    """What a file declares for the cluster is wrong; raised before anything is changed."""

    exit_code = 2


class PlatformError(TaxiFlowsError):
    """The platform can't be brought to what is declared, or can't be entered."""


class PrefectApiError(PlatformError):
    """Prefect's API does not answer, or refuses."""


class ObjectError(PlatformError):
    """An Experiment or ParameterSweep can't be run as it is.

    reason: in one word, as a condition has it. final: it is not tried again.
    """

    reason, final = "NoDeployment", False


class RunRefusedError(ObjectError):
    """Prefect does not take the flow run of an Experiment or ParameterSweep."""

    reason = "RunRefused"


class FlowRunGoneError(ObjectError):
    """The flow run of an Experiment or ParameterSweep was deleted on the server."""

    reason, final = "FlowRunGone", True


class TooLargeError(ObjectError):
    """An Experiment or ParameterSweep asks for a larger pod than the release allows."""

    reason, final = "TooLarge", True


class InvalidSpecError(ObjectError):
    """The spec of an Experiment or ParameterSweep is of another version and can't be read."""

    reason, final = "InvalidSpec", True


class ClusterError(PlatformError):
    """Kubernetes does not answer or refuses, or an object is not there."""


class ClusterRefusalError(ClusterError):
    """Kubernetes answers, and does not take this one request."""
