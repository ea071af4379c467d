"""Trees like those of treebanks, and what makes others of them."""

import itertools

from transformer_jax.parsing.trees import Tree

LABELS = ["S", "NP", "VP", "PP", "ADVP", "PRT", "SBAR"]
TAGS = ["NN", "DT", "VBD", "IN", "HYPH", "-LRB-", ",", "."]
WORDS = ["the", "mice", "-LRB-", "Xpd\u2009TTD", "\xa0A", "C57BL/6J", "δ", ",", "."]


def random_leaves(rng, count):
    return [Tree(rng.choice(TAGS), word=rng.choice(WORDS)) for _ in range(count)]


def random_tree(rng, num_words):
    """A tree with the top TOP, unary chains and flat and deep constituents."""

    def over(leaves):
        if len(leaves) == 1:
            (tree,) = leaves
            while rng.random() < 0.4:
                tree = Tree(rng.choice(LABELS), (tree,))
            return tree
        cuts = sorted({0, len(leaves), *rng.choices(range(len(leaves)), k=2)})
        parts = [
            over(leaves[start:end])
            for start, end in itertools.pairwise(cuts)
            if end - start < len(leaves)
        ]
        tree = Tree(rng.choice(LABELS), parts or leaves)
        return Tree(rng.choice(LABELS), (tree,)) if rng.random() < 0.1 else tree

    return Tree("TOP", (over(random_leaves(rng, num_words)),))


def random_trees(rng, count):
    return [random_tree(rng, rng.randint(1, 12)) for _ in range(count)]


def change(rng, tree, rate):
    """The tree with some labels and tags changed, constituents removed and added."""

    def parts_of(node):
        if node.is_leaf:
            tag = rng.choice(["NN", "DT"]) if rng.random() < rate else node.label
            # A tag that is deleted would change the number of words.
            return [node if node.label in ",." else Tree(tag, word=node.word)]
        parts = [part for child in node.children for part in parts_of(child)]
        if rng.random() < rate:
            return parts
        label = rng.choice(LABELS) if rng.random() < rate else node.label
        if len(parts) > 2 and rng.random() < rate:
            parts = [Tree(rng.choice(LABELS), parts[:2]), *parts[2:]]
        return [Tree(label, parts)]

    return Tree(tree.label, [part for node in tree.children for part in parts_of(node)])


def chain(length):
    """A word under so many constituents."""
    tree = Tree("NN", word="deep")
    for _ in range(length):
        tree = Tree("NP", (tree,))
    return tree
