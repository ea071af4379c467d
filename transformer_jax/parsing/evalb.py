"""EVALB: labelled bracketing scores of trees, as by the C program.

EVALB by Sekine and Collins (with Ellis, 2006) is what parsers of the Wall Street
Journal are scored with. The counts, the report and the messages are those of the
program.
"""

from collections.abc import Iterable, Sequence

from transformer_jax.errors import InputError
from transformer_jax.parsing.evalb_parameters import EvalbParameters
from transformer_jax.parsing.evalb_report import EvalbResult
from transformer_jax.parsing.evalb_scores import sum_up
from transformer_jax.parsing.evalb_sentence import Parse, count_sentence
from transformer_jax.parsing.trees import Tree, require_tree

_COLLINS = EvalbParameters()


def evalb(
    gold: Sequence[Parse],
    test: Sequence[Parse],
    parameters: EvalbParameters = _COLLINS,
) -> EvalbResult:
    """Returns the scores of test trees against gold trees, as EVALB finds them.

    A sentence whose trees have other words is an error and is not scored; one whose
    test tree is None, or has no words that count, is skipped.

    Args:
        gold: one tree a sentence; or several side by side without a top, or None.
        test: as many.
        parameters: what is counted, by default as in COLLINS.prm.

    Raises:
        InputError: the numbers of sentences differ or are 0, what is given are no
            trees, or there are more errors than MAX_ERROR allows.

    Example:
        >>> gold = tj.Tree.from_text("(TOP (S (NP (PRP I)) (VP (VBP sleep))))")
        >>> test = tj.Tree.from_text("(TOP (S (NP (PRP I)) (NP (NN sleep))))")
        >>> scores = tj.evalb([gold], [test]).all
        >>> scores.num_matched, scores.num_gold, round(scores.f1, 1)
        (2, 3, 66.7)
    """
    if not isinstance(parameters, EvalbParameters):
        raise InputError(
            f"parameters={parameters!r:.60} must be EvalbParameters, which "
            "load_evalb_parameters makes of a file."
        )
    gold, test = _list_parses("gold", gold), _list_parses("test", test)
    if len(gold) != len(test) or not gold:
        raise InputError(
            f"{len(gold)} gold trees and {len(test)} test trees: expected one of each "
            "for every sentence, and at least one sentence."
        )
    sentences, num_errors = [], 0
    most = parameters.max_errors + 1  # As the program counts.
    for number, parses in enumerate(zip(gold, test, strict=True), start=1):
        sentences.append(count_sentence(*parses, parameters))
        num_errors += sentences[-1].status == "error"
        if num_errors > most:
            raise InputError(
                f"sentence {number}: {sentences[-1].problem}, after {most} sentences "
                "like it: check that gold and test have the same sentences, the same "
                "tags of punctuation, by which it is left out, or allow more than "
                f"max_errors={parameters.max_errors}."
            )
    short = (one for one in sentences if one.length <= parameters.cutoff_length)
    return EvalbResult(sum_up(sentences), sum_up(short), tuple(sentences), parameters)


def _list_parses(side: str, parses: Sequence[Parse]) -> list[Parse]:
    """Returns the parses of one side in a list.

    Raises:
        InputError: one is neither a tree, nor several, nor None.
    """
    if isinstance(parses, Tree | str):
        raise InputError(f"{side}= is one parse; expected a list with one a sentence.")
    if not isinstance(parses, Iterable):
        raise InputError(
            f"{side}={parses!r:.60} must be a list with one parse a sentence."
        )
    found = list(parses)
    for number, parse in enumerate(found):
        several = parse if isinstance(parse, list | tuple) else [parse]
        for tree in several if parse is not None else ():
            require_tree(f"{side}[{number}]", tree)
    return found
