r"""Constituency trees, and the brackets of the Penn Treebank they are written in.

Words and labels are separated by white space as C has it (blank, tab, \n, \r, \f, \v);
a no-break space or U+2028 belongs to a word. Nothing here recurses: a tree may be as
deep as it likes.
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from transformer_jax.errors import InputError

_SEPARATORS = r" \t\n\r\f\v()"
TOP_LABELS = frozenset(("", "TOP", "ROOT", "S1"))
"""Labels of the top of a tree, by which treebanks and parsers mean no constituent."""

_UNFIT = re.compile(f"[{_SEPARATORS}]")
# A leaf: its tag and its word; an opening bracket: its label; `)`; anything else.
_TOKEN = re.compile(
    rf"\(([^{_SEPARATORS}]*+)[ \t\n\r\f\v]++([^{_SEPARATORS}]++)[ \t\n\r\f\v]*+\)"
    rf"|\(([^{_SEPARATORS}]*+)"
    r"|(\))"
    rf"|([^{_SEPARATORS}]++)"
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Tree:
    """A constituent with its parts, or a leaf: a word with its part-of-speech tag.

    `str(tree)` has its brackets in one line, from which `Tree.from_text` makes the same
    tree again. Two trees are equal if these are.

    Raises:
        InputError: it has neither parts nor a word, or both, or its label or word
            cannot be written between brackets.

    Example:
        >>> tree = tj.Tree.from_text("(S (NP (PRP I)) (VP (VBP sleep)))")
        >>> tree.label, tree.words, tree.tags
        ('S', ('I', 'sleep'), ('PRP', 'VBP'))
        >>> tree.children[0] == tj.Tree("NP", (tj.Tree("PRP", word="I"),))
        True
    """

    label: str
    """Label of the constituent, or tag of the word. Empty for the top of many trees."""
    children: tuple["Tree", ...] = ()
    """The parts, from left to right; none for a leaf."""
    word: str | None = None
    """The word of a leaf."""

    def __post_init__(self) -> None:
        """Raises InputError if the brackets of the tree could not be read."""
        if type(self.children) is not tuple:
            parts = tuple(self.children) if isinstance(self.children, Iterable) else ()
            object.__setattr__(self, "children", parts)
        if type(self.label) is not str or not isinstance(self.word, str | None):
            raise InputError(
                f"Tree({self.label!r:.40}, word={self.word!r:.40}): label and word "
                "must be strings."
            )
        if self.word is None:
            if {*map(type, self.children)} != {Tree}:
                raise InputError(
                    f"Tree({self.label!r}) has {len(self.children)} children that are "
                    "not all trees; expected one or more, or word= for a leaf."
                )
        elif self.children or not self.word or not self.label:
            raise InputError(
                f"Tree({self.label!r}, word={self.word!r}): a leaf has a tag, a word "
                "that is not empty, and no children."
            )
        for text in (self.label, self.word or ""):
            if not is_fit(text):
                raise InputError(
                    f"Tree({self.label!r}, word={self.word!r}): {text!r} holds white "
                    "space or a bracket; the Penn Treebank writes -LRB- and -RRB- for "
                    "brackets."
                )

    @classmethod
    def from_text(cls, text: str) -> "Tree":
        """Returns the one tree that is written in a text.

        Raises:
            InputError: it holds none, several or a damaged one.
        """
        if not isinstance(text, str):
            raise InputError(
                f"text={text!r:.60} ({type(text).__name__}) must be a string."
            )
        trees = read_brackets(text, "the text of a tree")
        if len(trees) != 1:
            raise InputError(
                f"the text of a tree holds {len(trees)} trees; expected one, as in "
                "(S (NP (PRP I)) (VP (VBP sleep)))."
            )
        return trees[0]

    @property
    def is_leaf(self) -> bool:
        """Whether it is a word with its tag."""
        return self.word is not None

    @property
    def words(self) -> tuple[str, ...]:
        """The words from left to right."""
        return tuple(leaf.word or "" for leaf in self.leaves())

    @property
    def tags(self) -> tuple[str, ...]:
        """The part-of-speech tags of the words."""
        return tuple(leaf.label for leaf in self.leaves())

    def leaves(self) -> Iterator["Tree"]:
        """Yields the leaves from left to right."""
        return (node for node in self.nodes() if node.word is not None)

    def nodes(self) -> Iterator["Tree"]:
        """Yields the constituents and leaves, each before its parts."""
        left = [self]
        while left:
            node = left.pop()
            yield node
            left.extend(reversed(node.children))

    def walk(self) -> Iterator[tuple["Tree", bool]]:
        """Yields each leaf once, and each constituent before and after its parts.

        With every one comes whether it ends here: a leaf, or a constituent after its
        parts.
        """
        left = [(self, self.is_leaf)]
        while left:
            node, ends = left.pop()
            yield node, ends
            if not ends:
                left.append((node, True))
                left += [(child, child.is_leaf) for child in reversed(node.children)]

    def __str__(self) -> str:
        """Returns the brackets of the tree in one line."""
        parts: list[str] = []
        for node, ends in self.walk():
            if node.word is not None:
                parts.append(f" ({node.label} {node.word})")
            else:
                parts.append(")" if ends else f" ({node.label}")
        return "".join(parts)[1:]

    def __repr__(self) -> str:
        """Returns an expression that makes the tree."""
        return f"Tree.from_text({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """Returns whether another tree has the same brackets, labels and words."""
        if not isinstance(other, Tree):
            return NotImplemented
        return self is other or str(self) == str(other)

    def __hash__(self) -> int:
        """Returns the hash of the brackets."""
        return hash(str(self))

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Pickles the brackets: deep trees too."""
        return Tree.from_text, (str(self),)


def require_tree(name: str, value: object) -> None:
    """Raises InputError unless the argument `name` is a tree."""
    if not isinstance(value, Tree):
        raise InputError(
            f"{name} is {value!r:.60}; expected a Tree, as Tree.from_text makes of "
            "brackets."
        )


def is_fit(text: str) -> bool:
    """Returns whether a label or word can be written between brackets."""
    return not _UNFIT.search(text)


def read_brackets(text: str, name: str, first_line: int = 1) -> list[Tree]:
    """Returns the trees that are written in a text, one after the other.

    Args:
        name: of the text, for messages.
        first_line: number of its first line, for messages.

    Raises:
        InputError: a tree is damaged; with its line and what is wrong.
    """

    def refuse(token: int, what: str) -> NoReturn:
        place = next(itertools.islice(_TOKEN.finditer(text), token, None)).start()
        line = first_line + text.count("\n", 0, place)
        raise InputError(f"{name}, line {line}: {what}.")

    trees: list[Tree] = []
    parts = trees  # of the innermost constituent that is open
    around: list[tuple[str, list[Tree]]] = []  # its label, and the parts around it
    leaves: dict[tuple[str, str], Tree] = {}  # Trees do not change: one for all.
    first = 0  # token of the tree that is being read
    for token, (tag, word, label, end, stray) in enumerate(_TOKEN.findall(text)):
        if word:
            leaf = leaves.get((tag, word))
            if leaf is None:
                if not tag:
                    refuse(
                        token, f"the word {word!r} has no tag; expected (TAG {word})"
                    )
                leaf = leaves[tag, word] = Tree(tag, word=word)
            parts.append(leaf)
        elif end:
            if not around:
                refuse(token, "a ) has no ( before it; remove it, or add the (")
            label, outside = around.pop()
            if not parts:
                refuse(token, f"({label}) holds no word; expected (TAG WORD)")
            outside.append(Tree(label, tuple(parts)))
            parts = outside
        elif stray:
            if not around:
                refuse(token, f"{stray!r} stands outside a tree; expected a (")
            refuse(
                token,
                f"the word {stray!r} has no tag of its own; expected (TAG {stray})",
            )
        else:
            if not around:
                first = token
            around.append((label, parts))
            parts = []
    if around:
        refuse(first, f"the tree that begins here lacks {len(around)} ) at its end")
    return trees
