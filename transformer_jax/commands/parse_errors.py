"""Errors of the argument parser, in one line.

tyro has no interface for its errors: it draws them in a box on standard error and
exits. Only this file reads that box.
"""

import re

_BORDERS = "[╭╮╰╯│]"
_RULE = "[─-]{9,}"
# Commands whose text has a name, so that a file after the work directory is a slip.
_READS_INPUT = ("translate", "parse")


def one_line(box: str, program: str) -> str:
    """Returns the first error in a box, with the nearest name or a pointer to help.

    Args:
        box: as tyro 1.0 draws it.
        program: name of the program, for the pointer to its `--help`.
    """
    paragraphs = re.split(_RULE, re.sub(_BORDERS, "", box))
    texts = [" ".join(text.split()) for text in paragraphs if text.strip()]
    # The first is the title of the box.
    error = re.sub(r"^Error parsing __tyro\S+ ", "", [*texts, "bad usage"][1])
    unknown = re.findall(r"(--\S+) \(applied to", error)
    if unknown:
        error = f"{program} has no option {' and no '.join(unknown)}"
    surplus = re.match(r"Unrecognized options: ([^-\s]\S*)$", error)
    meant = _suggestion(box, program)
    if surplus and program.split()[-1] in _READS_INPUT:
        hint = f"did you mean --input {surplus[1]}?"
    elif meant is None:
        hint = f"see {program} --help."
    else:
        hint = f"did you mean {meant}?"
    return f"{error.rstrip('.')}; {hint}"


def _suggestion(box: str, program: str) -> str | None:
    """Returns the first option that is suggested and that this program has.

    Below each option the box names the commands that have it, unless only one could.
    """
    suggested = re.sub(_BORDERS, "", box).partition("Perhaps you meant:")[2]
    option, names_commands = None, False
    options: list[str] = []
    for line in map(str.strip, suggested.splitlines()):
        if line.startswith("--"):
            option = line.split()[0]
            options.append(option)
        elif re.fullmatch(r"in .+ --help", line):
            names_commands = True
            if line == f"in {program} --help":
                return option
    return None if names_commands else next(iter(options), None)
