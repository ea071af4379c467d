"""The command `trees`."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from transformer_jax.commands.output import print_note
from transformer_jax.errors import InputError
from transformer_jax.parsing.clean_trees import TreeCleaning, clean_tree
from transformer_jax.parsing.linearisation import linearise
from transformer_jax.parsing.treebank import find_tree_files, read_trees
from transformer_jax.storage.outputs import find_output, open_output


def trees(
    files: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILES")
    ],
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
    if not files:
        raise InputError("name files of trees or patterns, as wsj/23/*.mrg.")
    found = find_output(output, *find_tree_files(files))
    cleaning = TreeCleaning(
        remove_traces=remove_traces,
        remove_functions=remove_functions,
        merge_repeated=merge_repeated,
    )
    read = read_trees(files)
    cleaned = [clean_tree(tree, cleaning) for tree in read]
    with open_output(found) as out:
        for tree in filter(None, cleaned):
            if format == "brackets":
                out.write(f"{tree}\n")
            else:
                parts = (
                    tree.words if format == "words" else linearise(tree, leaf_symbol)
                )
                out.write(f"{' '.join(parts)}\n")
    if left_out := cleaned.count(None):
        print_note(f"trees of nothing but traces, left out: {left_out:,}")
