"""Which decoder layer aligns best, by words that are the same in both languages.

    python benchmarks/alignment_layers.py WORKDIR --source dev.en --target dev.de

A name or a number that stands once in the source and once in the target, letter for
letter, is its own translation: its link can be checked without alignments by hand. For
every layer, this prints how many such words are linked to each other, and how many
there are.
"""

import argparse
import json
from pathlib import Path

from side_by_side import at_least_one

import transformer_jax as tj


def main() -> None:
    """Measures the layers of one model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workdir")
    parser.add_argument("--source", type=Path, help="default: the run's test pairs")
    parser.add_argument("--target", type=Path)
    parser.add_argument("--pairs", type=at_least_one, default=2_000)
    args = parser.parse_args()
    translator = tj.Translator.from_checkpoint(args.workdir)
    if args.source is None:
        pairs = tj.load_pairs(translator.config.data, "test")
        pairs = pairs.read(0, min(args.pairs, len(pairs)))
    else:
        sides = (p.read_text("utf-8").splitlines() for p in (args.source, args.target))
        pairs = list(zip(*sides, strict=True))[: args.pairs]
    sources, targets = zip(*pairs, strict=True)
    same = [same_words(*pair) for pair in pairs]
    layers = range(translator.config.model.num_decoder_layers)
    found = {
        layer: num_linked(
            same, tj.align(translator, sources, targets, alignment_layer=layer)
        )
        for layer in layers
    }
    print(
        json.dumps(
            {
                "pairs": len(pairs),
                "same_words": sum(map(len, same)),
                "linked_by_layer": found,
            }
        )
    )


def same_words(source: str, target: str) -> set[tuple[int, int]]:
    """Returns the places of the words that stand once in each sentence."""
    sides = source.split(), target.split()
    words = [{word for word in side if side.count(word) == 1} for side in sides]
    return {
        (sides[0].index(word), sides[1].index(word))
        for word in words[0] & words[1]
        if any(map(str.isalnum, word))
    }


def num_linked(
    same: list[set[tuple[int, int]]], links: list[list[tuple[int, int]]]
) -> int:
    """Returns how many of the words are linked to each other."""
    return sum(len(words & set(line)) for words, line in zip(same, links, strict=True))


if __name__ == "__main__":
    main()
