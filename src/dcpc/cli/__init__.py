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

from dcpc.cli.surroundings import ends_cleanly, exit_code, speaks_to_any_terminal
from dcpc.errors import DCPCError
from dcpc.files import is_full

app = typer.Typer(
    name="dcpc",
    help="Fine-tune on labels that annotators disagree on: see the disagreement, correct for it, measure it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _register_commands() -> None:
    from dcpc.cli import adapt, convert, evaluate, export, inspect, predict, reward, train

    register(app, (train, predict, evaluate, adapt, export, reward, inspect, convert))


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
    """Run the command line; exit code 0 when done, 1 when it failed, 2 on wrong usage, 130 or 143 when stopped."""
    if not app.registered_commands:
        _register_commands()
    run(app, arguments)


def run(app: typer.Typer, arguments: list[str] | None) -> None:
    """Run a command line and end with its exit code; what users can mend is one line, without a traceback."""
    with speaks_to_any_terminal(), ends_cleanly():
        try:
            app(arguments)
        except DCPCError as error:
            _say_error(str(error))
            sys.exit(error.exit_code)
        except OSError as error:
            if not is_full(error):
                raise
            place = "" if error.filename is None else f"{error.filename}: "
            _say_error(f"{place}cannot write ({error.strerror}).\n  Make room, and give the command again.")
            sys.exit(1)
        except KeyboardInterrupt as stop:
            _say_stopped(stop)


def _say_error(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]Error:[/] {escape(message)}")


def _say_stopped(stop: KeyboardInterrupt) -> NoReturn:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if console.is_terminal:
        console.print()  # a progress bar may have left the cursor within its line
    console.print(escape(f"Stopped. {stop}".strip()))
    sys.exit(exit_code(stop))
