"""Sentences with what a model makes of them: translations, or trees as tokens."""

from collections.abc import Sequence

from transformer_jax.parser.parser import Parser
from transformer_jax.parsing.linearisation import linearise
from transformer_jax.translation.translator import Translator


def own_pairs(
    translator: Translator, sentences: Sequence[str]
) -> list[tuple[str, str]]:
    """Returns each sentence as the model reads it, with what it writes.

    Of a parser, the target is the tokens of the tree. A sentence without words has an
    empty one.
    """
    treebank = translator.config.treebank
    if not treebank.is_used:
        return list(zip(sentences, translator.translate(sentences), strict=True))
    return [
        ("", "")
        if tree is None
        else (" ".join(tree.words), " ".join(linearise(tree, treebank.leaf_symbol)))
        for tree in Parser(translator).parse(sentences)
    ]
