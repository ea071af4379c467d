"""One output written in several parts, each by a process of its own, then joined."""

import re
import shutil
from pathlib import Path

from transformer_jax.errors import InputError
from transformer_jax.file_translation.resumable_output import discard, to_disk, writing


def part_path(output: Path, part: tuple[int, int]) -> Path:
    """Returns where part i of n of a file grows."""
    index, count = part
    if count == 1:
        return output.with_name(f"{output.name}.partial")
    return output.with_name(f"{output.name}.part-{index:05}-of-{count:05}")


def check_other_parts(output: Path, count: int) -> None:
    """Checks that nothing is left of a job with another number of parts.

    Raises:
        InputError: something is, with its name.
    """
    pattern = re.escape(output.name) + r"\.(partial|part-\d{5}-of-(\d{5}))"
    for path in sorted(output.parent.glob("*.part*")):
        match = re.fullmatch(pattern, path.name)
        if match and (was := int(match[2] or 1)) != count:
            raise InputError(
                f"{path} is left of an interrupted job of {was} "
                f"process{'' if was == 1 else 'es'}, not {count}: go on with as many, "
                "or delete it to begin anew."
            )


def join_parts(output: Path, count: int) -> None:
    """Makes one file of its parts, and deletes them.

    Raises:
        InputError: a part is not to be seen, or the file cannot be written.
    """
    parts = [part_path(output, (index, count)) for index in range(count)]
    for path in parts:
        if not path.exists():
            raise InputError(
                f"{path} is not there: the processes need --output in a directory that "
                "all of them share."
            )
    joined = output.with_name(f"{output.name}.joined")
    with writing(joined):
        with joined.open("wb") as file:
            for path in parts:
                with path.open("rb") as part:
                    shutil.copyfileobj(part, file)
            to_disk(file)
        joined.replace(output)
    for path in parts:
        discard(path)
