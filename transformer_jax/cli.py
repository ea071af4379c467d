"""The command line: parses arguments and shows errors; `commands` does the rest.

A result is one JSON object on standard output; everything else goes to standard error.
Exit codes: 0 for success, 2 for an error that the user can correct (one line), 128 + n
where signal n has ended the work, 1 for any other. Only `--debug` shows a traceback.
"""

import contextlib
import difflib
import errno
import functools
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import tyro

from transformer_jax import __version__
from transformer_jax.checkpoints.orbax_warnings import drop_closed_loops
from transformer_jax.commands.attention import attention
from transformer_jax.commands.average import average
from transformer_jax.commands.bench import bench
from transformer_jax.commands.bleu import bleu
from transformer_jax.commands.evalb import evalb
from transformer_jax.commands.evaluate import evaluate
from transformer_jax.commands.export import export
from transformer_jax.commands.import_model import import_model
from transformer_jax.commands.info import info
from transformer_jax.commands.output import print_note
from transformer_jax.commands.parse import parse
from transformer_jax.commands.parse_errors import one_line
from transformer_jax.commands.plan import plan
from transformer_jax.commands.prepare import prepare
from transformer_jax.commands.reproduce import reproduce, settings_of
from transformer_jax.commands.score import score
from transformer_jax.commands.settings import (
    PAPER_BASE,
    spell_none,
    takes_settings,
    with_defaults,
)
from transformer_jax.commands.train import train
from transformer_jax.commands.translate import translate
from transformer_jax.commands.trees import trees
from transformer_jax.config.reading import load_config
from transformer_jax.devices.first_use import problem_of_devices
from transformer_jax.devices.tpu_compiler import leave_alone
from transformer_jax.errors import InputError, ProcessLost
from transformer_jax.interruption import Interrupted, handle_signals, leave_process

PROGRAM = "transformer-jax"
# A disk that is full, over its quota, or may not be written.
_OF_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
COMMANDS: dict[str, Callable[..., None]] = {
    "train": train,
    "prepare": prepare,
    "translate": translate,
    "evaluate": evaluate,
    "average": average,
    "score": score,
    "bleu": bleu,
    "evalb": evalb,
    "parse": parse,
    "trees": trees,
    "attention": attention,
    "export": export,
    "import": import_model,
    "info": info,
    "bench": bench,
    "plan": plan,
    "reproduce": reproduce,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if sys.stdout is None:  # Closed by the caller: what is printed has no reader.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # Whatever the terminal's encoding is.
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    logging.basicConfig(format="%(message)s", level=logging.ERROR, stream=sys.stderr)
    logging.getLogger("transformer_jax").setLevel(logging.INFO)
    leave_alone()
    drop_closed_loops()
    try:
        with handle_signals(ends_process=True):
            return _run(arguments, debug)
    except Interrupted as end:  # Between the end of the command and that of the block.
        return _fail(str(end), end.exit_code)


def _run(arguments: Sequence[str], debug: bool) -> int:
    """Runs one command; returns the exit code."""
    try:
        if arguments[:1] == ["--version"]:
            print(f"{PROGRAM} {__version__}")
            return 0
        named = COMMANDS.get(arguments[0]) if arguments else None
        command = _parse(spell_none(arguments, named) or ["--help"])
        command()
        sys.stdout.flush()
        return 0
    except InputError as error:
        if debug:
            raise
        return _fail(str(error), 2)
    except BrokenPipeError:  # The reader of our output has closed it, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Interrupted as end:
        code = _fail(str(end), end.exit_code)
        leave_process(code)
        return code
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except OSError as error:
        if debug:
            raise
        where = error.filename or "a file or connection"
        reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
        code = 1 if error.filename is None and error.errno not in _OF_DISK else 2
        return _fail(f"{where}: {reason}; check it and its disk (--debug shows)", code)
    except ProcessLost as error:
        _leave_others(str(error))
    except Exception as error:
        if debug:
            raise
        if problem := problem_of_devices(error):
            return _fail(problem, 2)
        if "jax" in sys.modules:
            _leave_if_lost(error)
        summary = " ".join(str(error).split()) or "no message"
        if "RESOURCE_EXHAUSTED" in summary or "Out of memory" in summary:
            summary = f"out of memory ({summary:.160}): take fewer tokens or a smaller"
            return _fail(f"{summary} beam at a time, or shorter lines", 1)
        return _fail(f"{type(error).__name__}: {summary} (--debug shows where)", 1)


def _leave_if_lost(error: Exception) -> None:
    """Ends a process if an error says that it has lost another."""
    from transformer_jax.devices.lost_processes import is_of_exchange, reason_of

    if is_of_exchange(error):
        _leave_others(
            "another process of this job has ended or cannot be reached "
            f"({reason_of(error)}): start the job again"
        )


def _leave_others(message: str) -> NoReturn:
    """Ends a process that has lost another; JAX would wait for that at its end."""
    _fail(message, 1)
    sys.stdout.flush()
    os._exit(1)


def _fail(message: str, code: int) -> int:
    print_note(f"{PROGRAM}: {message}")
    return code


def _parse(arguments: Sequence[str]) -> Callable[[], None]:
    """Returns the command with its arguments, ready to run.

    Raises:
        InputError: the arguments are refused; tyro's explanation as one line.
    """
    commands = {name: _defer(run) for name, run in _commands(arguments).items()}
    explanation = io.StringIO()
    try:
        with contextlib.redirect_stderr(explanation):
            parsed: Callable[[], None] = tyro.extras.subcommand_cli_from_dict(
                commands, args=arguments, prog=PROGRAM
            )
            return parsed
    except SystemExit as error:
        if not error.code:
            raise  # --help has been printed.
        program = f"{PROGRAM} {arguments[0]}" if arguments[0] in COMMANDS else PROGRAM
        raise InputError(one_line(explanation.getvalue(), program)) from None


def _defer(command: Callable[..., None]) -> Callable[..., Callable[[], None]]:
    """Returns a function with the same arguments that returns the call, to be made."""

    @functools.wraps(command)
    def note(*values: Any, **named: Any) -> Callable[[], None]:
        return functools.partial(command, *values, **named)

    return note


def _commands(arguments: Sequence[str]) -> dict[str, Callable[..., None]]:
    """Returns the commands; the settings in a named TOML file become defaults."""
    settings = PAPER_BASE
    named = COMMANDS.get(arguments[0])
    if named is None and not arguments[0].startswith("-"):
        near = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"see {PROGRAM} --help."
        raise InputError(f"{arguments[0]} is not a command; {hint}")
    if named and takes_settings(named) and not [*arguments, "-"][1].startswith("-"):
        load = settings_of if named is reproduce else load_config
        settings = load(arguments[1])
    return {
        name: with_defaults(command, settings) if takes_settings(command) else command
        for name, command in COMMANDS.items()
    }
