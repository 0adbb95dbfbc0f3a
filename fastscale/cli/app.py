"""The application: what holds for every command, and how errors end it."""

from __future__ import annotations

import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fastscale._version import __version__
from fastscale.cli.output import BAD_INPUT, INTERRUPTED, say
from fastscale.cli.wording import reword
from fastscale.errors import FastscaleError

EPILOG = """\b
Examples:
  fastscale fit                                    the embedded simulated example
  fastscale check runs.csv                         what is in an archive
  fastscale fit runs.csv --law chinchilla --bootstrap 4000 --save fit.json
  fastscale batch 'runs/*.parquet' --by family --out fits.parquet
  fastscale compare runs.csv --law all              which law predicts what it has not seen
  fastscale verdicts scores.parquet --by task --x flops --better higher --loss accuracy
  fastscale optimal --fit fit.json --budget 1e24
  fastscale derive --fit draws.parquet compute_for_loss loss=2.1
  fastscale laws chinchilla

\b
Exit codes:
  0    done
  1    no optimum: the fit's status is neither ok nor at_bound, no allocation
       exists at a budget, or every group of a batch failed
  2    wrong usage or bad input; the message says what would be right
  3    some groups of a batch failed; the others are fitted
  130  interrupted; the message says what was finished

'fastscale COMMAND --help' explains each command. Results go to the standard output, messages to the standard error.
"""


class Commands(TyperGroup):
    """The commands, with every foreseeable error as one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                return super().invoke(ctx)
        except FastscaleError as error:
            say(reword(str(error)))
        except BrokenPipeError:
            raise  # the reader of a pipe went away: no error of ours
        except OSError as error:
            say(str(error))
        except MemoryError:
            say("there is not enough memory for this; use fewer rows, groups or resamples at a time")
        except KeyboardInterrupt:
            say("interrupted; nothing was finished")
            raise typer.Exit(INTERRUPTED) from None
        raise typer.Exit(BAD_INPUT)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"warning: {message}")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"fastscale {__version__}")
        raise typer.Exit()


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback(invoke_without_command=True, epilog=EPILOG)
def fastscale(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Fit neural scaling laws to archives of training runs: global fits, bootstrap intervals, compute-optimal sizes."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
