"""Settings of constituency parsing: treebanks in place of sentence pairs."""

from dataclasses import dataclass

from transformer_jax.config.checks import require_types
from transformer_jax.errors import InputError


@dataclass(frozen=True, kw_only=True)
class TreebankConfig:
    """The trees to learn parsing from: files in the brackets of the Penn Treebank.

    A run with training trees learns to write the tree of a sentence; it needs neither
    `data.dataset` nor files of sentence pairs.

    Raises:
        InputError: a value of the wrong type. The message names the setting, as
            `treebank.train_paths`.

    Example:
        >>> treebank = tj.TreebankConfig(train_paths=("wsj/0[2-9]/*", "wsj/1?/*"))
        >>> treebank.is_used
        True

    Paper: section 6.3.
    """

    train_paths: tuple[str, ...] = ()
    """Files or patterns, as wsj/02/*.mrg; plain or .gz."""
    validation_paths: tuple[str, ...] = ()
    test_paths: tuple[str, ...] = ()
    leaf_symbol: str | None = None
    """Stands for every word, as XX. None = the word's part-of-speech tag."""
    remove_traces: bool = True
    """Take away leaves with the tag -NONE-, and what holds nothing else."""
    remove_functions: bool = True
    """NP-SBJ-1, S=2 and ADVP|PRT become NP, S and ADVP."""
    merge_repeated: bool = False
    """A constituent whose only part has its own label becomes one with it."""
    well_formed: bool = True
    """Search among well-formed trees only. Otherwise what comes out is mended."""

    def __post_init__(self) -> None:
        require_types("treebank", self)
        symbol = self.leaf_symbol
        # What can be written between brackets, and is no special piece.
        if symbol is not None and (
            symbol.split() != [symbol]
            or not symbol.isprintable()
            or set(symbol) & set("()<>\u2581")
        ):
            raise InputError(
                f"treebank.leaf_symbol={symbol!r} must be a word without brackets, as "
                "XX, or none."
            )
        if self.validation_paths + self.test_paths and not self.train_paths:
            raise InputError(
                "treebank.train_paths is missing: name the trees to learn from."
            )

    @property
    def is_used(self) -> bool:
        """Whether the run learns to parse."""
        return bool(self.train_paths)
