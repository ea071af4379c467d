"""Files of which line n of each belongs to the same sentence."""

from pathlib import Path

from transformer_jax.errors import InputError
from transformer_jax.storage.text_streams import open_lines


def parallel_lines(files: list[Path], hint: str = "") -> list[list[str]]:
    """Returns the lines of files, which must have equally many.

    Args:
        hint: what else to say where the numbers differ, as "; ...".

    Raises:
        InputError: the numbers of lines differ or are 0, or a file cannot be read.
    """
    texts = []
    for path in files:
        with open_lines(path) as lines:
            texts.append(list(lines))
        if len(texts[-1]) != len(texts[0]):
            raise InputError(
                f"{files[0]} has {len(texts[0])} lines and {path} has "
                f"{len(texts[-1])}: line n of each must belong to the same sentence, "
                f"with an empty line where there is nothing for it{hint}."
            )
    if not texts[0]:
        raise InputError(f"{files[0]} is empty: there is nothing to score.")
    return texts
