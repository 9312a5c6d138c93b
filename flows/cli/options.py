"""Options that several commands share: which trips to read, and lists of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import click

from flows.cli.common import TaxiCommand, environment
from flows.model.parameter import HELP


@dataclass(frozen=True)
class DataOptions:
    """Which trips of a source to use; each field is an option, and means what the parameter of a flow does."""

    coordinate_type: str
    use_location_ids: bool
    max_samples: int | None
    use_minio: bool
    seed: int
    hours: str | None
    weekdays: str | None


def data_options() -> list[click.Parameter]:
    """The options of DataOptions, and those of reading that are settings; defaults are the guide's, as in the flows."""
    return [
        parameter_option("--coordinate-type", str, default="pickup", metavar="pickup|dropoff|both"),
        parameter_option("--use-location-ids/--no-use-location-ids", default=True),
        parameter_option("--max-samples", int),
        click.Option(["--minio/--no-minio", "use_minio"], default=True, show_default=True, help=HELP["use_minio"]),
        parameter_option("--seed", int, default=0),
        parameter_option("--hours", str, metavar="A-B[,C-D]"),
        parameter_option("--weekdays", str, metavar="DAYS"),
        click.Option(["--skip-truncated"], is_flag=True, help="Leave out a text file's last line where it is cut off."),
        click.Option(
            ["--skip-bad-rows"],
            type=click.IntRange(min=0),
            default=None,
            metavar="N",
            help="Leave out up to N lines of a text file that don't fit its header.  [default: 0]",
        ),
        click.Option(["--allow-mostly-dropped"], is_flag=True, help="Go on where most points are dropped."),
    ]


def parameter_option(
    flag: str,
    kind: click.IntRange | type | None = None,
    default: float | str | None = None,
    metavar: str | None = None,
) -> click.Option:
    """The option of a flow's parameter of the same name, with its help."""
    name = flag.partition("/")[0].lstrip("-").replace("-", "_")
    shown = default is not None
    return click.Option([flag], type=kind, default=default, show_default=shown, metavar=metavar, help=HELP[name])


def source_argument(*, required: bool = True) -> click.Parameter:
    """The parameter `data_source` of a command of `taxi-flows`."""
    metavar = "DATA_SOURCE..." if required else "[DATA_SOURCE...]"
    return click.Argument(["data_source"], nargs=-1, required=required, metavar=metavar)


def source_option(*, required: bool = True) -> click.Parameter:
    """The parameter `data_source` of a script."""
    return click.Option(
        ["--data-object", "--data-source", "data_source"],
        multiple=True,
        required=required,
        help="Object key, or with --no-minio a path; may be repeated.",
    )


_SETTINGS = {
    "skip_truncated": "TAXI_SKIP_TRUNCATED",
    "skip_bad_rows": "TAXI_SKIP_BAD_ROWS",
    "allow_mostly_dropped": "TAXI_ALLOW_MOSTLY_DROPPED",
}


class ListOption(click.Option):
    """An option of one value or more: `--eps-values 0.3 0.5`, `0.3,0.5`, or repeated.

    After the first, a word is another value where `takes` says so, so that DATA_SOURCE may follow a list of numbers.
    """

    takes: Callable[[str], bool]

    def expanded(self, words: Sequence[str]) -> list[str]:
        """The words, with the option repeated before each of its values."""
        found: list[str] = []
        name = None
        for place, word in enumerate(words):
            if word == "--":
                return [*found, *words[place:]]
            before, equals, value = word.partition("=")
            if before in self.opts and equals:
                found += self._repeated(before, value)
            elif word in self.opts:
                name, first = word, place + 1
                if first == len(words):
                    found.append(word)  # click says that a value is missing
            elif name is not None and (place == first or self.takes(word)):
                found += self._repeated(name, word)
            else:
                name = None
                found.append(word)
        return found

    def _repeated(self, name: str, values: str) -> list[str]:
        return [part for value in values.split(",") for part in (name, value)]


def list_option(
    flag: str,
    kind: Callable[[str], float | str],
    metavar: str,
    default: Sequence[float | str],
    takes: Callable[[str], bool],
) -> ListOption:
    """The ListOption of a flow's parameter of the same name; its values reach the command as a tuple."""
    meaning = HELP[flag.lstrip("-").replace("-", "_")]
    shown = " ".join(str(value) for value in default)
    option = ListOption(
        [flag], type=kind, metavar=f"{metavar}...", multiple=True, default=default, show_default=shown, help=meaning
    )
    option.takes = takes
    return option


def is_numbers(word: str) -> bool:
    """Whether a word is a number, or several with commas between; `auto` stands for numbers."""
    try:
        return word == "auto" or all(float(part) is not None for part in word.split(","))
    except ValueError:
        return False


def is_names(word: str) -> bool:
    """Whether a word may name adapters: no option, path or file."""
    return all(part.isidentifier() for part in word.split(","))


class DataCommand(TaxiCommand):
    """A command that reads trips: its data options reach it as one `data: DataOptions`, those that are settings hold
    while it runs, and its lists may be written with spaces."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each value of a list."""
        for option in self.params:
            if isinstance(option, ListOption):
                args = option.expanded(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> None:
        """Run the command with its data options gathered."""
        given = {field.name: ctx.params.pop(field.name) for field in fields(DataOptions)}
        ctx.params["data"] = DataOptions(**given)
        asked = {variable: ctx.params.pop(name) for name, variable in _SETTINGS.items()}
        # A flag that is not given leaves the environment's word; so does a number.
        given = {variable: value for variable, value in asked.items() if value is not None and value is not False}
        with environment({variable: str(value).lower() for variable, value in given.items()}):
            super().invoke(ctx)
