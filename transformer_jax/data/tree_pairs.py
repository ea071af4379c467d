"""Sentences with their trees as sentence pairs. Paper: section 6.3."""

from collections.abc import Sequence
from typing import Literal

from transformer_jax.config.treebank import TreebankConfig
from transformer_jax.data.sentence_pairs import ListPairs
from transformer_jax.errors import InputError
from transformer_jax.parsing.clean_trees import TreeCleaning
from transformer_jax.parsing.linearisation import linearise, symbols_of
from transformer_jax.parsing.treebank import TreeFiles, read_trees
from transformer_jax.parsing.trees import Tree


class TreePairs(ListPairs):
    """The words of each tree as the source, its tokens as the target."""

    def __init__(self, trees: Sequence[Tree], leaf_symbol: str | None, name: str):
        """Reads the trees, from left to right."""
        pairs = [
            (" ".join(tree.words), " ".join(linearise(tree, leaf_symbol)))
            for tree in trees
        ]
        super().__init__(pairs, name)
        self.trees = list(trees)
        self.target_symbols = tuple(symbols_of(trees, leaf_symbol))

    def in_memory(self) -> "TreePairs":
        """Returns the pairs, which are in memory."""
        return self


def load_tree_pairs(
    config: TreebankConfig, split: Literal["train", "validation", "test"]
) -> TreePairs | None:
    """Returns the trees of a split; None where none are named.

    Raises:
        InputError: a file cannot be read, or a tree is damaged.
    """
    paths = getattr(config, f"{split}_paths")
    return tree_pairs(paths, config, f"treebank.{split}_paths") if paths else None


def tree_pairs(paths: TreeFiles, config: TreebankConfig, name: str) -> TreePairs:
    """Returns the trees of files, cleaned as the settings say.

    Args:
        name: of what names the files, for messages.

    Raises:
        InputError: a file cannot be read, a tree is damaged, or nothing is left.
    """
    cleaning = TreeCleaning(
        remove_traces=config.remove_traces,
        remove_functions=config.remove_functions,
        merge_repeated=config.merge_repeated,
    )
    try:
        trees = read_trees(paths, cleaning)
        if not trees:
            raise InputError("the trees hold no words, but for traces.")
        return TreePairs(trees, config.leaf_symbol, name)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
