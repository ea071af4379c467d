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
    meant = re.search(r"Perhaps you meant: (\S+)", " ".join(texts))
    if surplus and program.split()[-1] in _READS_INPUT:
        hint = f"did you mean --input {surplus[1]}?"
    # Another command may have an option of the very name.
    elif meant is None or meant[1] in unknown:
        hint = f"see {program} --help."
    else:
        hint = f"did you mean {meant[1]}?"
    return f"{error.rstrip('.')}; {hint}"
