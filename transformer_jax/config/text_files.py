"""The settings `SPLIT_SIDE_path`, which several sections have: text files by split."""

from typing import Any, Literal, TypeAlias, get_args

from transformer_jax.errors import InputError

Split: TypeAlias = Literal["train", "validation", "test"]
TextPaths: TypeAlias = str | tuple[str, ...]
"""A file, or several whose lines follow each other."""


def files_of(config: Any, split: Split) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the files of both sides of a split; of none, two empty tuples."""
    source, target = (
        (paths,) if isinstance(paths, str) else tuple(paths or ())
        for paths in (
            getattr(config, f"{split}_source_path"),
            getattr(config, f"{split}_target_path"),
        )
    )
    return source, target


def check_files(section: str, config: Any) -> None:
    """Checks that the files of every split go together.

    Raises:
        InputError: only one side is named, or not as many files of the one as of the
            other, or a data set is named too.
    """
    for split in get_args(Split):
        _check_split(section, config, split)
    if config.dataset is not None and config.train_source_path is not None:
        raise InputError(
            f"{section}.dataset={config.dataset!r} and {section}.train_source_path="
            f"{config.train_source_path!r} exclude each other: keep one."
        )


def _check_split(section: str, config: Any, split: Split) -> None:
    for side in ("source", "target"):
        if getattr(config, f"{split}_{side}_path") == ():
            raise InputError(
                f"{section}.{split}_{side}_path=() names no file: give one, or several."
            )
    source, target = files_of(config, split)
    if bool(source) != bool(target):
        missing = "target" if source else "source"
        raise InputError(
            f"{section}.{split}_{missing}_path is missing: both sides of the "
            f"{split} pairs must be named."
        )
    if len(source) != len(target):
        raise InputError(
            f"{section}.{split}_source_path names {len(source)} files "
            f"({', '.join(source)}) but {section}.{split}_target_path {len(target)} "
            f"({', '.join(target)}): name as many of each, in the same order."
        )
