"""The entrance: finds the command, shows errors as one line, sets the exit code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any

import click

from darkstream import __version__
from darkstream.errors import DarkstreamError

COMMANDS = {
    "up": "Start server, workers and deployments; Ctrl-C stops everything.",
    "run": "Scan a folder, convert it, report, stop: all in one.",
    "convert": "Convert one file and wait for it.",
    "batch": "Convert files or folders together, and follow them as one.",
    "analyze": "Say what is in files and folders, measured.",
    "library": "Add, list, show and remove libraries.",
    "scan": "Look over a library and convert what needs it.",
    "forecast": "Say when a library will be done, and what it will save.",
    "jobs": "List jobs.",
    "show": "Show one job.",
    "cancel": "Cancel a job.",
    "retry": "Queue an ended job again.",
    "approve": "Put results that wait in the place of their originals.",
    "keep": "Keep originals, throw away the results that wait.",
    "undo": "Put originals back that results have replaced.",
    "logs": "Print what the tools said during a job.",
    "node": "List the machines that work, pause, drain and resume them.",
    "preset": "List, show, make, check and save presets.",
    "doctor": "Check ffmpeg, encoders, sandbox, disk, server and workers.",
    "server": "Run the server alone.",
    "worker": "Run a worker alone.",
    "prefect": "Prepare a Prefect server for DarkStream.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called: `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All command names, in the order people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import `darkstream.cli.<name>` and return its `command`."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"darkstream.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest commands where there is none of that name."""
        name = click.utils.make_str(args[0])
        if name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"No such command {name!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all well, 1 an error, or the job waited for was cancelled, 2 bad usage, "
    "3 some jobs failed (analyze: some files could not be read; approve, keep, undo: some could "
    "not be done), 130 interrupted.",
)
@click.version_option(__version__, prog_name="darkstream")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Convert video libraries without ever endangering an original."""
    ctx.obj = debug


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    debug = "--debug" in (sys.argv[1:] if args is None else args)
    try:
        code: Any = cli.main(args=args, prog_name="darkstream", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except DarkstreamError as error:
        if debug:
            traceback.print_exception(error)
        else:
            click.echo(" ".join(("Error:", str(error), *getattr(error, "__notes__", ()))), err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (`darkstream jobs | head`): nothing more to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
