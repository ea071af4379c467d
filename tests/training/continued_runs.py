"""A run with a checkpoint after every update, to go on with in all kinds of ways."""

import functools
from pathlib import Path

from test_loop import PAIRS
from tiny_runs import one_layer_config, reversed_pairs, shared_run

from transformer_jax.training.train import TrainResult, train

OTHERS = reversed_pairs(150, seed=5)
VALIDATION = reversed_pairs(20, seed=1)
TIMES = (
    "seconds", "step_seconds", "source_tokens_per_second", "target_tokens_per_second",
    "compile_count",
)  # fmt: skip


def run(workdir: Path, pairs=PAIRS, validation=None, from_step=None, **changes):
    """Trains with a checkpoint after every update."""
    changes = {"training__checkpoint_every_steps": 1, "training__keep_last": 99} | {
        f"training__{name}" if "__" not in name else name: value
        for name, value in changes.items()
    }
    return train(
        one_layer_config(**changes),
        workdir,
        train_pairs=pairs,
        validation_pairs=validation,
        progress=False,
        from_step=from_step,
    )


def without_times(history: list[dict]) -> list[dict]:
    return [{k: v for k, v in line.items() if k not in TIMES} for line in history]


@functools.cache
def eight_steps() -> tuple[Path, TrainResult]:
    """A run of 8 updates and its work directory, which tests only read."""
    return shared_run("eight", functools.partial(run, num_steps=8, log_every_steps=4))


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()
