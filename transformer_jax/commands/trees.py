"""The command `trees`."""

from pathlib import Path
from typing import Literal

import tyro

from transformer_jax.errors import InputError
from transformer_jax.parsing.clean_trees import TreeCleaning
from transformer_jax.parsing.linearisation import linearise
from transformer_jax.parsing.treebank import read_trees
from transformer_jax.storage.outputs import find_output, open_output


def trees(
    files: tyro.conf.Positional[tuple[str, ...]],
    /,
    output: Path | None = None,
    format: Literal["brackets", "words", "tokens"] = "brackets",
    leaf_symbol: str | None = None,
    remove_traces: bool = True,
    remove_functions: bool = True,
    merge_repeated: bool = False,
) -> None:
    """Write the trees of a treebank, one a line, as parsers are trained and scored.

    What `evalb` takes as gold trees, and, as words, what `parse` takes as sentences.

    Args:
        files: files or patterns, as wsj/23/*.mrg, plain or .gz.
        output: file to write, plain or .gz; default, or -, standard output.
        format: trees in brackets, their words, or the tokens that a model writes.
        leaf_symbol: of tokens: stands for every word, as XX; default, the word's tag.
        remove_traces: take away leaves with the tag -NONE-, and what holds nothing
            else; a tree of nothing else is left out.
        remove_functions: make NP-SBJ-1, S=2 and ADVP|PRT NP, S and ADVP.
        merge_repeated: make a constituent whose only part has its own label one with
            it.
    """
    if leaf_symbol is not None and format != "tokens":
        raise InputError("--leaf-symbol is of use with --format tokens.")
    found = find_output(output)
    cleaning = TreeCleaning(
        remove_traces=remove_traces,
        remove_functions=remove_functions,
        merge_repeated=merge_repeated,
    )
    read = read_trees(files, cleaning)
    with open_output(found) as out:
        for tree in read:
            if format == "brackets":
                out.write(f"{tree}\n")
            else:
                parts = (
                    tree.words if format == "words" else linearise(tree, leaf_symbol)
                )
                out.write(f"{' '.join(parts)}\n")
