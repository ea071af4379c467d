"""Parts of an output file: one for each process, joined at the end."""

import re
import shutil
from pathlib import Path

from transformer_jax.errors import InputError
from transformer_jax.file_translation.resumable_output import discard
from transformer_jax.storage.outputs import (
    explain_write_errors,
    flush_to_disk,
    keep_mode,
)


def part_path(output: Path, part: tuple[int, int]) -> Path:
    """Returns the path of part i of n of a file that is not finished."""
    index, count = part
    if count == 1:
        return output.with_name(f"{output.name}.partial")
    return output.with_name(f"{output.name}.part-{index:05}-of-{count:05}")


def check_other_parts(output: Path, count: int) -> None:
    """Checks that no parts remain of a job with another number of parts.

    Raises:
        InputError: a part remains. The message names it.
    """
    pattern = re.escape(output.name) + r"\.(partial|part-\d{5}-of-(\d{5}))"
    for path in sorted(output.parent.glob("*.part*")):
        match = re.fullmatch(pattern, path.name)
        if match and (was := int(match[2] or 1)) != count:
            raise InputError(
                f"{path} is left of an interrupted job of {was} "
                f"process{'' if was == 1 else 'es'}, not {count}: go on with {was}, "
                "or delete it to begin anew."
            )


def join_parts(output: Path, count: int) -> None:
    """Joins the parts into one file, and deletes them.

    Raises:
        InputError: a part is missing, or the file cannot be written.
    """
    parts = [part_path(output, (index, count)) for index in range(count)]
    for path in parts:
        if not path.exists():
            raise InputError(
                f"{path} is not there: name an output in a directory that all "
                "processes share."
            )
    joined = output.with_name(f"{output.name}.joined")
    with explain_write_errors(joined):
        with joined.open("wb") as file:
            keep_mode(joined, output)
            for path in parts:
                with path.open("rb") as part:
                    shutil.copyfileobj(part, file)
            flush_to_disk(file)
        joined.replace(output)
    for path in parts:
        discard(path)
