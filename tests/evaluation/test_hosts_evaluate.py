"""Several processes evaluate one model together, and it is as one would."""

import pytest
from processes import answers
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
