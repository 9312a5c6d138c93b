"""Every setting, once: its environment name, unit, default and reason.

`MINIO_*`, `PUSHGATEWAY_URL` and `PREFECT_API_URL` keep the names that their own tools use, the rest is `TAXI_*`
(nested with a double underscore: `TAXI_SCORE__QUALITY_WEIGHT`). A secret may also be a file of the same name, in lower
case, in the folder `TAXI_SECRETS_DIR` names (default `/run/secrets`).
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnparsedError

from flows.core.errors import SettingsError
from flows.core.frozen import INT64_MAX, Frozen


class CityBox(Frozen):
    """Where a trip can begin or end, in WGS84 degrees, bounds included."""

    lon_min: float = Field(-74.30, ge=-180, le=180, description="Western bound, degrees.")
    lon_max: float = Field(-73.65, ge=-180, le=180, description="Eastern bound, degrees.")
    lat_min: float = Field(40.45, ge=-90, le=90, description="Southern bound, degrees.")
    lat_max: float = Field(40.95, ge=-90, le=90, description="Northern bound, degrees.")

    @model_validator(mode="after")
    def _in_order(self) -> CityBox:
        if not (self.lon_min < self.lon_max and self.lat_min < self.lat_max):
            raise ValueError("the box is empty: each minimum must be below its maximum")
        return self


class ScoreSettings(Frozen):
    """Weights of `overall_score` (its formula: flows.steps.score.overall_score)."""

    quality_weight: float = Field(0.7, ge=0, le=1, description="Share of quality.")
    performance_weight: float = Field(0.3, ge=0, le=1, description="Share of performance.")
    silhouette_weight: float = Field(0.5, ge=0, le=1, description="Share of (silhouette + 1) / 2 in quality.")
    davies_bouldin_weight: float = Field(0.25, ge=0, le=1, description="Share of 1 / (1 + Davies-Bouldin) in quality.")
    noise_weight: float = Field(0.25, ge=0, le=1, description="Share of 1 - noise ratio in quality.")
    half_score_seconds: float = Field(10.0, gt=0, description="Seconds per million trips at which performance is 0.5.")

    @model_validator(mode="after")
    def _weights_add_up(self) -> ScoreSettings:
        whole = self.quality_weight + self.performance_weight
        parts = self.silhouette_weight + self.davies_bouldin_weight + self.noise_weight
        if abs(whole - 1) > 1e-9 or abs(parts - 1) > 1e-9:
            raise ValueError(
                f"weights must add up to 1: quality + performance is {whole}, the parts of quality are {parts}"
            )
        return self


class MinioSettings(BaseSettings):
    """Where the S3 object store is; without an endpoint the store is a local directory."""

    model_config = SettingsConfigDict(env_prefix="MINIO_", frozen=True, extra="ignore", env_ignore_empty=True)

    endpoint: str | None = Field(None, description="host:port of MinIO or S3.")
    access_key: SecretStr | None = Field(None, description="Access key; there is no default.")
    secret_key: SecretStr | None = Field(None, description="Secret key; there is no default.")
    secure: bool = Field(True, description="Speak TLS.")


class OutsideSettings(BaseSettings):
    """Settings whose names belong to other tools."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    pushgateway_url: str | None = Field(None, description="Base address of the Prometheus Pushgateway.")
    prefect_api_url: str | None = Field(None, description="Prefect's API; without it flows use an embedded server.")


class _NoHomeError(ValueError):
    """Nobody knows the home directory that a path begins with."""


def _expanded(path: Path) -> Path:
    """A path without `~`."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise _NoHomeError(
            "HOME is not set, or there is no such user. Set HOME, or this variable to a whole path"
        ) from error


class ExporterSettings(Frozen):
    """The exporter's, which counts flow runs for Prometheus."""

    port: int = Field(9105, ge=0, le=65535, description="Port of the exporter.")
    state_dir: Path = Field(Path("~/.taxi-flows/exporter"), description="Folder where the exporter keeps its counts.")
    interval_seconds: float = Field(15.0, ge=1, description="Seconds between two polls of Prefect by the exporter.")

    @field_validator("state_dir")
    @classmethod
    def _home(cls, path: Path) -> Path:
        return _expanded(path)

    @property
    def folder(self) -> Path:
        """The folder of the counts.

        Raises:
            SettingsError: it is the default, and nobody knows the home directory.
        """
        try:
            return _expanded(self.state_dir)
        except _NoHomeError as error:
            raise SettingsError(f"TAXI_EXPORTER__STATE_DIR={str(self.state_dir)!r}: {error}.") from error


class PodSizes(Frozen):
    """What a flow run's pod asks for; as its work pool says where nothing is set."""

    cpu_request: str | None = Field(
        None, pattern=r"^[0-9]+(\.[0-9]+|m)?$", description="CPUs set aside for the pod, as `500m`."
    )
    cpu_limit: str | None = Field(None, pattern=r"^[0-9]+(\.[0-9]+|m)?$", description="CPUs the pod may use, as `2`.")
    memory: str | None = Field(
        None, pattern=r"^[0-9]+(Ki|Mi|Gi|Ti|k|M|G|T)?$", description="The pod's memory, request and limit, as `4Gi`."
    )

    def job_variables(self) -> dict[str, str]:
        """As the work pools' templates name them."""
        return self.model_dump(exclude_none=True)


class OperatorSettings(Frozen):
    """The operator's, which runs Experiments and ParameterSweeps."""

    object_ttl_seconds: int = Field(
        30 * 86_400,
        ge=0,
        le=2**31 - 1,
        description="Seconds after which an ended object without ttlSecondsAfterFinished is deleted; 0: never.",
    )
    maximum_cpu: str | None = Field(
        None, pattern=r"^[0-9]+(\.[0-9]+)?m?$", description="CPUs that `resources` of an object may ask for at most."
    )
    maximum_memory: str | None = Field(
        None,
        pattern=r"^[0-9]+(\.[0-9]+)?([kMGT]i?)?$",
        description="Memory that `resources` of an object may ask for at most.",
    )


class Settings(BaseSettings):
    """All settings of a run; built by whoever starts it, never at import."""

    model_config = SettingsConfigDict(
        env_prefix="TAXI_", env_nested_delimiter="__", frozen=True, extra="ignore", env_ignore_empty=True
    )

    store_dir: Path = Field(
        Path("~/.taxi-flows/store"),
        validate_default=True,
        description="The local object store, used when MINIO_ENDPOINT is not set.",
    )
    data_bucket: str = Field("taxi-data", description="Bucket of months and reference/.")
    experiments_bucket: str = Field("taxi-experiments", description="Bucket of records.")
    city_box: CityBox = Field(CityBox(), description="Points outside are dropped as `outside`.")
    allow_mostly_dropped: bool = Field(False, description="Go on where more than half of the points are dropped.")
    skip_truncated: bool = Field(False, description="Leave out a text file's last line where it is cut off.")
    skip_bad_rows: int = Field(
        0,
        ge=0,
        le=INT64_MAX,
        description="Most lines of a text file to leave out because they don't fit its header.",
    )
    zone_table: Path | None = Field(
        None, description="taxi_zones as zip, folder or .shp; unset: reference/taxi_zones.zip in the store."
    )
    silhouette_sample: int = Field(
        10_000, ge=2, le=INT64_MAX, description="Most used points that the silhouette is computed from."
    )
    score: ScoreSettings = Field(ScoreSettings(), description="Weights of overall_score.")
    tlc_base_url: str = Field(
        "https://d37ci6vzurychx.cloudfront.net", description="Where `taxi-flows data fetch` finds TLC's files."
    )
    n_jobs: int | None = Field(
        None, ge=1, le=2**31 - 1, description="Threads or workers of an adapter; the pod's CPU limit."
    )
    fan_out: bool = Field(
        False, description="Sweeps start flow runs for their cells; set by the work pool coordinator on a cluster."
    )
    cells: PodSizes = Field(PodSizes(), description="Of the pods of a sweep's cells.")
    dask_scheduler: str | None = Field(
        None, description="Address of a Dask scheduler, tcp://host:8786; its workers cluster sklearn_parallel's tiles."
    )
    memory_limit_bytes: int | None = Field(None, ge=1, description="Memory limit in bytes; the pod's memory limit.")
    image: str | None = Field(None, description="Reference of the container image; recorded.")
    exporter: ExporterSettings = Field(default_factory=ExporterSettings)
    operator: OperatorSettings = Field(OperatorSettings())
    platform_file: Path | None = Field(
        None, description="What `platform apply` reads the release's values from; unset: the ConfigMap of the cluster."
    )
    inventory_file: Path | None = Field(
        None, description="Where `platform apply` keeps what is its own; unset: a ConfigMap of the cluster."
    )
    minio: MinioSettings = Field(default_factory=MinioSettings)
    outside: OutsideSettings = Field(default_factory=OutsideSettings)

    @field_validator("store_dir", "zone_table", "platform_file", "inventory_file")
    @classmethod
    def _home(cls, path: Path | None) -> Path | None:
        return _expanded(path) if path is not None else None


def load_settings() -> Settings:
    """Read the settings from the environment and from secret files.

    Raises:
        SettingsError: a value is malformed; the message names its variable.
    """
    secrets = Path(os.environ.get("TAXI_SECRETS_DIR", "/run/secrets"))
    secrets_dir = secrets if secrets.is_dir() else None
    try:
        return Settings(
            minio=MinioSettings(_secrets_dir=secrets_dir),
            outside=OutsideSettings(_secrets_dir=secrets_dir),
            _secrets_dir=secrets_dir,
        )
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error
    except UnparsedError as error:  # a whole group, such as TAXI_SCORE, that is not the JSON it has to be
        raise SettingsError(
            f"{error}: it has to be a JSON object. Set its parts one by one instead (TAXI_SCORE__QUALITY_WEIGHT)."
        ) from error


def _explain(error: ValidationError) -> str:
    prefix = {"MinioSettings": "MINIO_", "OutsideSettings": ""}.get(error.title, "TAXI_")
    lines = []
    for fault in error.errors():
        name = prefix + "__".join(str(part).upper() for part in fault["loc"])
        value = str(fault["input"]) if isinstance(fault["input"], Path) else fault["input"]
        no_home = fault.get("ctx", {}).get("error")
        if isinstance(no_home, _NoHomeError):
            return f"bad setting: {name}={value!r}: {no_home}."
        lines.append(f"{name}={value!r}: {fault['msg']}")
    return f"bad setting: {'; '.join(lines)}. Mend or unset the environment variable."
