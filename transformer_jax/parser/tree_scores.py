"""F1 of a parser on the trees of a treebank, as EVALB counts it."""

from collections.abc import Callable, Sequence
from typing import Any, Unpack

from transformer_jax.config.decoding_keywords import DecodingSettings
from transformer_jax.parser.leaf_tags import with_tags
from transformer_jax.parser.parser import Parser
from transformer_jax.parsing.evalb import evalb
from transformer_jax.parsing.evalb_parameters import EvalbParameters
from transformer_jax.parsing.linearisation import ANY_WORD
from transformer_jax.parsing.trees import Tree

_PARAMETERS = EvalbParameters(max_errors=1_000_000)
_RATES = ("f1", "recall", "precision", "complete_match", "tagging_accuracy")


def parse_and_score(
    parser: Parser,
    gold: Sequence[Tree],
    *,
    well_formed: bool | None = None,
    on_done: Callable[[int], None] | None = None,
    **decoding: Unpack[DecodingSettings],
) -> tuple[list[Tree], dict[str, Any]]:
    """Returns a tree for the words of each gold tree, as scored, and the scores of all.

    `f1`, `recall`, `precision`, `complete_match` and `tagging_accuracy` are those of
    EVALB with COLLINS.prm, in percent, and `f1_up_to_40_words`; `num_mended` counts
    what the model wrote that was no tree over its sentence. EVALB leaves punctuation
    out by its tag; here the tags of the gold trees say what is punctuation.

    Args:
        well_formed: as in `Parser.parse`.
        on_done: called with the number of sentences done so far.
    """
    found = parser.n_best(
        [tree.words for tree in gold],
        1,
        well_formed=well_formed,
        on_done=on_done,
        **decoding,
    )
    parsed = [one for (one,) in found]
    trees = [
        with_punctuation_of(tree, one.tree)
        for tree, one in zip(gold, parsed, strict=True)
    ]
    result = evalb(gold, trees, _PARAMETERS)
    scores: dict[str, Any] = {name: getattr(result.all, name) for name in _RATES}
    scores["f1_up_to_40_words"] = result.short.f1
    scores["num_errors"] = result.all.num_errors
    scores["num_mended"] = sum(one.was_mended for one in parsed)
    return trees, scores


def with_punctuation_of(gold: Tree, tree: Tree) -> Tree:
    """Returns a tree in which just the words are punctuation that are so in another.

    Other words that it has as punctuation get the tag XX.

    Args:
        gold: of the same words.
    """
    deleted = _PARAMETERS.delete_labels
    tags = [
        right if right in deleted else ANY_WORD if own in deleted else own
        for right, own in zip(gold.tags, tree.tags, strict=True)
    ]
    return with_tags(tree, tags)
