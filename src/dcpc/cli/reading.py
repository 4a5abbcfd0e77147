"""The options about how data are read, the same for every command that reads data."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from dcpc.cli import options

if TYPE_CHECKING:
    from dcpc.data.annotations import Annotations
    from dcpc.data.readers import ItemRows

Range = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--range", metavar="LOW HIGH", help="A slider's lowest and highest value; all its steps are labels."
    ),
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Keep ids, labels and texts as written: 1 and 1.0, true and True are not taken as equal.",
    ),
]
RepeatedJudgements = Annotated[
    str,
    typer.Option(
        "--repeats",
        help="Where an annotator judged an item more than once: latest (by a column with times, else by order), "
        "first, all, or refuse.",
    ),
]
Where = Annotated[
    str | None,
    typer.Option(help='Rows to keep, as \'trust >= 0.7 and country in ("DE", "AT")\'.', metavar="EXPRESSION"),
]
LeaveOut = Annotated[
    str | None,
    typer.Option(
        help="Rows to leave out that a crowd platform has marked: rejected, golden, tainted (Mechanical Turk, "
        "Appen, Toloka)."
    ),
]
MinTrust = Annotated[float | None, typer.Option(help="Leave out rows of workers with a lower trust score.")]
IgnoreLabels = Annotated[
    str | None, typer.Option(help="Labels that are no judgement, as idk,skip; their rows are left out.")
]
SkipBlank = Annotated[
    bool, typer.Option("--skip-blank", help="Leave out rows with a blank text instead of refusing the data.")
]


@dataclass(frozen=True)
class DataOptions:
    """What a user typed about how data are read; see `dcpc.data.readers.read_annotations`."""

    columns: options.Columns = None
    format: options.Format = None
    scale: options.Scale = None
    labels: options.Labels = None
    range: Range = None
    exact: Exact = False
    repeats: RepeatedJudgements = "latest"
    where: Where = None
    leave_out: LeaveOut = None
    min_trust: MinTrust = None
    ignore_labels: IgnoreLabels = None
    skip_blank: SkipBlank = False

    def annotations(self, data: str, **known: Any) -> Annotations:
        """Read judgements, and say what the reader skipped or changed.

        Args:
            data: as `read_annotations` takes it.
            known: its arguments that the command knows better, as an adapter's labels.
        """
        from dcpc.data.readers import read_annotations

        given = {
            "scale": self.scale,
            "labels": options.parse_list(self.labels),
            "range": self.range,
            "repeats": self.repeats,
            "ignore_labels": options.parse_list(self.ignore_labels) or (),
            **self._of_items(),
        }
        annotations = read_annotations(data, **{**given, **known})
        options.show_notes(annotations.notes)
        return annotations

    def items(self, data: str) -> ItemRows:
        """Read items alone, and say what the reader skipped or changed."""
        from dcpc.data.readers import read_item_rows

        rows = read_item_rows(data, **self._of_items())
        options.show_notes(rows.notes)
        return rows

    def given_beyond_columns(self) -> dict[str, object]:
        """Flag → what was typed, of all but --columns and --format; None where it was not."""
        return {
            f"--{entry.name.replace('_', '-')}": None if value == entry.default else value
            for entry in fields(self)
            if entry.name not in ("columns", "format")
            for value in [getattr(self, entry.name)]
        }

    def _of_items(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "columns": options.parse_columns(self.columns),
            "exact": self.exact,
            "where": self.where,
            "leave_out": options.parse_list(self.leave_out) or (),
            "min_trust": self.min_trust,
            "skip_blank": self.skip_blank,
        }


def reads_data(*without: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of `DataOptions`, which it gets as its one argument `reading`.

    Args:
        without: those that make no sense for it.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        own = get_type_hints(DataOptions, include_extras=True)
        names = {entry.name: entry.default for entry in fields(DataOptions) if entry.name not in without}

        @functools.wraps(command)
        def run(**arguments: Any) -> None:
            reading = DataOptions(**{name: arguments.pop(name) for name in names})
            command(reading=reading, **arguments)

        parameters = []
        for parameter in inspect.signature(command).parameters.values():
            given = names.items() if parameter.name == "reading" else [(parameter.name, parameter.default)]
            parameters += [
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=default,
                    annotation=own[name] if parameter.name == "reading" else hints[name],
                )
                for name, default in given
            ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del run.__wrapped__  # else the original signature would be read
        return run

    return decorate
