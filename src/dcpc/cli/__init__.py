"""The `dcpc` command: one file per subcommand; heavy imports happen inside them, so `--help` is quick."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from dcpc.errors import DCPCError

app = typer.Typer(
    name="dcpc",
    help="Fine-tune on labels that annotators disagree on: see the disagreement, correct for it, measure it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _register_commands() -> None:
    from dcpc.cli import convert, evaluate, inspect, predict, train

    register(app, (train, predict, evaluate, inspect, convert))


def register(app: typer.Typer, modules: Iterable[ModuleType]) -> None:
    """Add the `command` of each module to a command line, under the module's name."""
    for module in modules:
        app.command(module.__name__.rpartition(".")[2])(_stoppable(module.command))


def _stoppable(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that ends with one line when it is stopped; outside of it, typer would swallow the interruption."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except KeyboardInterrupt as stop:
            _say_stopped(stop)

    return run


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit code 0 when done, 1 when the work failed, 2 on wrong usage, 130 when stopped."""
    if not app.registered_commands:
        _register_commands()
    run(app, arguments)


def run(app: typer.Typer, arguments: list[str] | None) -> None:
    """Run a command line and end with its exit code; what users can mend is one line, without a traceback."""
    try:
        app(arguments)
    except DCPCError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[bold red]Error:[/] {escape(str(error))}"
        )
        sys.exit(error.exit_code)
    except KeyboardInterrupt as stop:
        _say_stopped(stop)


def _say_stopped(stop: KeyboardInterrupt) -> NoReturn:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if console.is_terminal:
        console.print()  # a progress bar may have left the cursor within its line
    console.print(escape(f"Stopped. {stop}".strip()))
    sys.exit(130)
