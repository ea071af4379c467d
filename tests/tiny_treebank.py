"""A tiny treebank, and a parser that was trained on it for a moment."""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tiny_runs import shared_run, tiny_config

import transformer_jax as tj

# The first letter of a word tells its tag.
WORDS = {
    tag: [consonant + vowel for vowel in "aeiou"]
    for tag, consonant in {"DT": "d", "NN": "n", "VB": "v", "IN": "p"}.items()
}


def random_tree(rng: np.random.Generator) -> tj.Tree:
    def leaf(tag):
        return f"({tag} {rng.choice(WORDS[tag])})"

    def noun_phrase(depth):
        inner = f"{leaf('DT')} {leaf('NN')}" if rng.random() < 0.7 else leaf("NN")
        if depth and rng.random() < 0.4:
            return f"(NP (NP {inner}) (PP {leaf('IN')} {noun_phrase(depth - 1)}))"
        return f"(NP {inner})"

    verb_phrase = f"(VP {leaf('VB')} {noun_phrase(1)})"
    return tj.Tree.from_text(f"(TOP (S {noun_phrase(1)} {verb_phrase} (. .)))")


def random_trees(number: int, seed: int = 0) -> list[tj.Tree]:
    rng = np.random.default_rng(seed)
    return [random_tree(rng) for _ in range(number)]


def write_trees(path: Path, trees: list[tj.Tree]) -> str:
    path.write_text("".join(f"{tree}\n" for tree in trees))
    return str(path)


def parsing_config(
    folder: Path, num_trees: int = 400, **changes
) -> tj.ExperimentConfig:
    """Settings of a run on trees that are written into the folder."""
    settings = {
        "treebank__train_paths": (
            write_trees(folder / "train.mrg", random_trees(400)),
        ),
        "treebank__validation_paths": (
            write_trees(folder / "dev.mrg", random_trees(20, seed=1)),
        ),
        "treebank__test_paths": (
            write_trees(folder / "test.mrg", random_trees(30, seed=2)),
        ),
        "tokenizer__shared": False,
        "model__share_embeddings": "target",
        "model__vocab_size": 290,
        "model__target_vocab_size": 280,
        "data__source_length": 32,
        "data__target_length": 64,
        "data__batch_tokens": 16 * 64,
        "training__best_metric": "f1",
        "training__validation_bleu_sentences": None,
        "decoding__max_extra_length": 60,
        **changes,
    }
    return tiny_config(**settings)


class ParsingRun(NamedTuple):
    workdir: Path
    result: tj.TrainResult


@functools.cache
def parsing_run() -> ParsingRun:
    """A run whose parser has learnt a little, but is often wrong."""

    def train(workdir: Path) -> tj.TrainResult:
        folder = workdir.with_name("treebank")
        folder.mkdir(exist_ok=True)
        config = parsing_config(
            folder, training__num_steps=40, training__evaluate_every_steps=20
        )
        return tj.train(config, workdir, progress=False)

    return ParsingRun(*shared_run("parsing", train))
