"""Several processes evaluate one model together, and it is as one would."""

import socket

import pytest
from processes import answers, launch
from tiny_runs import reversed_pairs, trained_run

from transformer_jax.evaluation.evaluate import evaluate

PAIRS = reversed_pairs(11, seed=5)

PROGRAM = """
import jax
from test_hosts_evaluate import PAIRS
from transformer_jax.checkpoints.choosing import load_chosen
from transformer_jax.evaluation.evaluate import evaluate
from transformer_jax.translation.translator import Translator

found = evaluate(sys.argv[5], pairs=PAIRS, progress=False)
# Parameters that lie on one device of this process.
params, config, tokenizer = load_chosen(sys.argv[5])
translations = Translator(config, params, tokenizer).translate([PAIRS[0][0]])
answer([found.scores, found.translations, translations])
"""


@pytest.mark.slow
def test_processes_evaluate_a_model_together():
    workdir = trained_run().workdir
    alone = evaluate(workdir, pairs=PAIRS, progress=False)
    for scores, translations, one in answers(
        PROGRAM, workdir, num_processes=2, num_devices=1
    ):
        assert translations == list(alone.translations)
        assert one == translations[:1]
        for name in ("loss", "nll", "chrf", "ter"):
            assert scores[name] == pytest.approx(alone.scores[name], rel=1e-5)


@pytest.mark.long
def test_standard_output_is_that_of_one_process(tmp_path):
    """Also where libraries write there themselves, as Gloo does."""
    for suffix, index in ("en", 0), ("de", 1):
        lines = "".join(f"{pair[index]}\n" for pair in PAIRS[:3])
        (tmp_path / suffix).write_text(lines)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    score = [
        "score", trained_run().workdir,
        "--source", tmp_path / "en", "--target", tmp_path / "de",
    ]  # fmt: skip
    joined = "--distributed", "--coordinator-address", address, "--num-processes", 2
    processes = [
        launch(*score, *joined, "--process-index", rank, JAX_NUM_CPU_DEVICES="1")
        for rank in range(2)
    ]
    (first, notes), (second, _) = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], notes
    alone, _ = launch(*score).communicate()
    assert second == ""
    assert len(first.splitlines()) == len(alone.splitlines()) == 3
    for line, expected in zip(first.splitlines(), alone.splitlines(), strict=True):
        numbers = [list(map(float, each.split())) for each in (line, expected)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-4)
