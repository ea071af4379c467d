"""What two programs have done with the same model, and whether it is the same."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from transformer_jax.errors import InputError

MOST_DIFFERENCE = 1e-4
"""Of logits, over their standard deviation."""
COMPARED_BEAM = 4


class ParityError(InputError):
    """Two programs differ about a model: a kind of InputError.

    Example:
        >>> issubclass(tj.ParityError, tj.InputError)
        True
    """


@dataclass(frozen=True)
class Comparison:
    """How many outputs were compared, and how many were the same.

    Example:
        >>> tj.Comparison(compared=8, equal=8).equal
        8
    """

    compared: int
    equal: int


@dataclass(frozen=True)
class ParityReport:
    """What two programs have done with the same model and the same text.

    Example:
        >>> same = tj.Comparison(compared=8, equal=8)
        >>> report = tj.ParityReport("another", 8, same, 1e-6, same, same, same)
        >>> report.difference is None
        True
    """

    program: str
    sentences: int
    segmentation: Comparison
    """Texts of the sample, as source and as target. Those with unknown characters for
    the other program are left out."""
    logits_difference: float
    """The largest, over the standard deviation of the logits."""
    greedy: Comparison
    """Outputs, token for token."""
    beam: Comparison
    """Outputs that ended by themselves in both, token for token."""
    texts: Comparison
    """Texts of greedy outputs without unknown tokens."""
    beam_size: int = COMPARED_BEAM
    length_penalty_alpha: float = 1.0
    """Of beam search: scores are divided by length ** alpha."""
    notes: tuple[str, ...] = ()
    padding: Comparison = Comparison(0, 0)
    """Rows of a batch of the shortest and the longest text, padded there: the token ids
    of each text, and padding that the model has an embedding of."""

    @property
    def difference(self) -> str | None:
        """What is not the same, for people; None where all is."""
        if not self.logits_difference <= MOST_DIFFERENCE:
            return (
                f"logits differ by {self.logits_difference:.1e} of their standard "
                f"deviation, more than {MOST_DIFFERENCE:g}"
            )
        for name, what in (
            ("segmentation", "texts are segmented otherwise"),
            ("padding", "texts of a padded batch are other token ids"),
            ("greedy", "outputs of greedy search are not the same"),
            ("beam", f"outputs of beam {self.beam_size} are not the same"),
            ("texts", "outputs are other texts"),
        ):
            found: Comparison = getattr(self, name)
            if found.equal < found.compared:
                return f"{found.compared - found.equal} of {found.compared} {what}"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values."""
        return {**dataclasses.asdict(self), "equal": self.difference is None}
