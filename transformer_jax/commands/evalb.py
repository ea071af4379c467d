"""The command `evalb`."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.output import json_text, print_json, print_note
from transformer_jax.commands.parallel_lines import parallel_lines
from transformer_jax.errors import InputError
from transformer_jax.parsing.evalb_parameters import (
    EvalbParameters,
    load_evalb_parameters,
)
from transformer_jax.parsing.evalb_report import EvalbResult
from transformer_jax.parsing.trees import Tree, read_brackets
from transformer_jax.storage.outputs import find_output, open_output
from transformer_jax.storage.text_encoding import STANDARD_STREAM, check_read_once

_ONE_A_LINE = "; trees stand one a line, as `transformer-jax trees FILES` writes them"


def evalb(
    gold: Path,
    test: Path,
    parameters: Path | None = None,
    max_errors: int | None = None,
    output: Path | None = None,
    format: Literal["text", "json"] = "text",
) -> None:
    """Score parses as EVALB does: labelled bracketing recall, precision, F1.

    The text is the report of the C program, to the character; its messages about
    sentences that cannot be scored go to standard error.

    Args:
        gold: trees in the brackets of the Penn Treebank, one a line; - for standard
            input.
        test: as many lines; an empty one where there is no parse.
        parameters: a parameter file, as COLLINS.prm, whose settings are the default; of
            what a file does not name, nothing is done.
        max_errors: sentences that may fail to be scored before all is refused; default,
            as the parameters say, 10 in COLLINS.prm.
        output: file to write; default, or -, standard output.
        format: text, or one JSON object with scores, errors and settings; the object is
            printed too where the text goes to a file.
    """
    from transformer_jax.parsing.evalb import evalb

    check_read_once(gold, test)
    found = find_output(output, gold, test, parameters)
    settings = EvalbParameters()
    if parameters is not None:
        settings = load_evalb_parameters(parameters)
    with flags_in_errors({"max_errors=": "--max-errors "}):
        if max_errors is not None:
            settings = dataclasses.replace(settings, max_errors=max_errors)
        lines = parallel_lines([gold, test], hint=_ONE_A_LINE)
        result = evalb(_trees_of(gold, lines[0]), _trees_of(test, lines[1]), settings)
    for number, sentence in enumerate(result.sentences, start=1):
        if sentence.problem is not None:
            print_note(f"{number} : {sentence.problem}")  # As the program does.
    summary = _summary(result)
    with open_output(found) as out:
        out.write(str(result) if format == "text" else f"{json_text(summary)}\n")
    if not found.is_standard:
        print_json(summary)


def _trees_of(path: Path, lines: list[str]) -> list[list[Tree]]:
    """Returns the trees that stand side by side in each line.

    Raises:
        InputError: a tree is damaged.
    """
    name = "standard input" if path == STANDARD_STREAM else str(path)
    try:
        return [
            read_brackets(line, name, number)
            for number, line in enumerate(lines, start=1)
        ]
    except InputError as error:
        raise InputError(f"{str(error).rstrip('.')}{_ONE_A_LINE}.") from None


def _summary(result: EvalbResult) -> dict[str, Any]:
    errors = [
        {"line": number, "problem": sentence.problem}
        for number, sentence in enumerate(result.sentences, start=1)
        if sentence.problem is not None
    ]
    return {
        "all": dataclasses.asdict(result.all),
        "short": dataclasses.asdict(result.short),
        "errors": errors,
        "parameters": dataclasses.asdict(result.parameters),
    }
