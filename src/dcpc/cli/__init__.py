"""The `dcpc` command: one file per subcommand; heavy imports happen inside them, so `--help` is quick."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from dcpc import __version__, launcher
from dcpc.cli.one_voice import check_alone, one_voice
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


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"dcpc {__version__}")
        raise typer.Exit


@app.callback()
def _whole(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and end.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """What all commands share."""


def _register_commands() -> None:
    from dcpc.cli import adapt, convert, evaluate, export, inspect, predict, reward, train

    register(app, (train, predict, evaluate), in_several=True)
    register(app, (adapt, export, reward, inspect, convert))


def register(app: typer.Typer, modules: Iterable[ModuleType], *, in_several: bool = False) -> None:
    """Add the `command` of each module to a command line, under the module's name.

    Args:
        app: the command line.
        modules: one for each command.
        in_several: they share their work where a launcher starts them in several processes; others refuse that.
    """
    for module in modules:
        name = module.__name__.rpartition(".")[2]
        command = module.command if in_several else _alone(module.command, f"{app.info.name} {name}")
        app.command(name)(_stoppable(command))


def _alone(command: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        check_alone(name)
        return command(*arguments, **options)

    return run


def _stoppable(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that ends with one line when it is stopped; outside of it, typer would swallow the interruption."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except KeyboardInterrupt as stop:
            raise _Stopped(stop) from stop

    return run


class _Stopped(Exception):
    """An interruption, past the place where typer would swallow it."""

    def __init__(self, stop: KeyboardInterrupt) -> None:
        self.stop = stop


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit code 0 when done, 1 when it failed, 2 on wrong usage, 130 or 143 when stopped."""
    if not app.registered_commands:
        _register_commands()
    run(app, arguments)


def run(app: typer.Typer, arguments: list[str] | None) -> None:
    """Run a command line and end with its exit code; what users can mend is one line, without a traceback."""
    with speaks_to_any_terminal(), ends_cleanly(), one_voice() as last_words:
        try:
            app(arguments)
        except DCPCError as error:
            message, code = str(error), error.exit_code
            last_words(lambda: _say_error(message))
            sys.exit(code)
        except OSError as error:
            if not is_full(error):
                raise
            place = "" if error.filename is None else f"{error.filename}: "
            message = f"{place}cannot write ({error.strerror}).\n  Make room, and give the command again."
            last_words(lambda: _say_error(message))
            sys.exit(1)
        except RuntimeError as error:
            if not _is_torn(error):
                raise
            message = "another process of this command has ended, and the rest cannot go on without it."
            last_words(lambda: _say_error(f"{message}\n  The launcher says which one, and how."))
            sys.exit(1)
        except (KeyboardInterrupt, _Stopped) as end:
            stop = end.stop if isinstance(end, _Stopped) else end
            last_words(lambda: _say_stopped(stop))
            sys.exit(exit_code(stop))


def _is_torn(error: RuntimeError) -> bool:
    if launcher.processes() == 1:
        return False
    from dcpc import ranks

    return ranks.is_torn(error)


def _say_error(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]Error:[/] {escape(message)}")


def _say_stopped(stop: KeyboardInterrupt) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if console.is_terminal:
        console.print()  # a progress bar may have left the cursor within its line
    console.print(escape(f"Stopped. {stop}".strip()))
