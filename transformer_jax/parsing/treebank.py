"""The trees of files in the brackets of the Penn Treebank."""

import contextlib
import gc
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from transformer_jax.errors import InputError
from transformer_jax.parsing.clean_trees import TreeCleaning, clean_tree
from transformer_jax.parsing.trees import Tree, read_brackets
from transformer_jax.storage.path_names import expand_home
from transformer_jax.storage.text_streams import open_lines

TreeFiles: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A file or pattern, or several."""


def read_trees(files: TreeFiles, cleaning: TreeCleaning | None = None) -> list[Tree]:
    """Returns the trees of one or many files, one a line or over several lines.

    Files are read in the order of the patterns, those of one pattern by name, and each
    once, however many patterns it matches. They are UTF-8, plain or .gz.

    Args:
        files: a file or pattern, or several, as `wsj/02/*.mrg` or `wsj/**/*.mrg`.
        cleaning: what to take away; None = the trees as they stand. A tree of which
            nothing is left is left out.

    Raises:
        InputError: a pattern matches no file, or a file cannot be read, holds no tree
            or a damaged one; with its name, line and what is wrong.

    Example:
        >>> from pathlib import Path
        >>> text = "( (S (NP-SBJ (DT The) (NN cat)) (VP (VBZ sleeps))))"
        >>> _ = Path("one.mrg").write_text(text)
        >>> (tree,) = tj.read_trees("one.mrg", tj.TreeCleaning())
        >>> print(tree)
        (TOP (S (NP (DT The) (NN cat)) (VP (VBZ sleeps))))
    """
    if cleaning is not None and not isinstance(cleaning, TreeCleaning):
        raise InputError(f"cleaning={cleaning!r:.60} must be a TreeCleaning.")
    paths = find_tree_files(files)
    trees: list[Tree] = []
    with _no_search_for_cycles():
        for path in paths:
            with open_lines(path) as lines:
                found = read_brackets("\n".join(lines), str(path))
            if not found:
                raise InputError(
                    f"{path} holds no tree; expected brackets as "
                    "(S (NP (PRP I)) (VP (VBP sleep)))."
                )
            trees += found if cleaning is None else _clean(found, cleaning)
    return trees


def find_tree_files(files: TreeFiles) -> list[Path]:
    """Returns the files that are named, or match a pattern, each once.

    Raises:
        InputError: a pattern matches no file.
    """
    # By name: one that is found again stays where it is.
    found = (path for pattern in _list_patterns(files) for path in _find(pattern))
    return list(dict.fromkeys(found))


def _list_patterns(files: TreeFiles) -> list[str | os.PathLike[str]]:
    """Returns the patterns in a list.

    Raises:
        InputError: there is none, or something else among them.
    """
    if isinstance(files, Sequence) and not isinstance(files, str | bytes):
        patterns = list(files)
    else:
        patterns = [files]
    for pattern in patterns or [""]:
        if not isinstance(pattern, str | os.PathLike) or not os.fspath(pattern):
            raise InputError(
                f"files={files!r:.60} must be a file of trees or a pattern, as "
                "wsj/02/*.mrg, or several."
            )
    return patterns


def _find(pattern: str | os.PathLike[str]) -> list[Path]:
    """Returns the files that a pattern names.

    Raises:
        InputError: there is none.
    """
    name = expand_home(pattern)
    if os.path.isdir(name):
        raise InputError(
            f"{name} is a directory: name its files, as {os.path.join(name, '*')}"
        )
    if os.path.exists(name):  # A file may have a [ in its name.
        return [Path(name)]
    found = [Path(path) for path in sorted(glob.glob(name, recursive=True))]
    found = [path for path in found if not path.is_dir()]
    if not found:
        raise InputError(
            f"{name}: no such file, and none that matches it; expected a file of trees "
            f"or a pattern, as wsj/02/*.mrg, as seen from {os.getcwd()}."
        )
    return found


def _clean(trees: list[Tree], cleaning: TreeCleaning) -> list[Tree]:
    cleaned = (clean_tree(tree, cleaning) for tree in trees)
    return [tree for tree in cleaned if tree is not None]


@contextlib.contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Keeps Python from looking for cycles among trees, which have none.

    It would look again and again, for longer than all trees take to read.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
