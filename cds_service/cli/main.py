"""The command `cds-service`. A refusal is a sentence on stderr and exit code 2, never a traceback.

A command group is a module with `register(app)`, which adds its commands; it is listed in GROUPS below.
"""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from cds_service import __version__
from cds_service.cli import demo, evaluate, rules, serve
from cds_service.errors import CdsError

GROUPS: tuple[Callable[[typer.Typer], None], ...] = (
    demo.register,
    evaluate.register,
    rules.register,
    serve.register,
)
REFUSED = 2


class Program(typer.Typer):
    """A Typer application that leaves with a sentence where Typer would show a traceback."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except CdsError as refusal:
            _leave(f"{refusal} (at {refusal.expression})" if refusal.expression else str(refusal))
        except Exception as error:  # noqa: BLE001 its text may hold patient data; its type and place are enough
            _leave(
                f"The command stopped at an unexpected fault ({type(error).__name__} at {_place(error)}): report it."
            )


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def _options(
    version: bool = typer.Option(False, "--version", help="Show the version.", is_eager=True, callback=_show_version),
) -> None:
    """Options before the command."""


def _leave(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    sys.exit(REFUSED)


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}" if trace else "?"


app = Program(
    name="cds-service",
    help="Clinical decision support for ketamine and esketamine in depression, as a CDS Hooks service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.callback()(_options)
for register in GROUPS:
    register(app)
