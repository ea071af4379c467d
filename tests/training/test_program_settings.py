"""Settings that name no program are settings that no program depends on."""

import dataclasses

import jax
import pytest
from test_step import batch_of
from tiny_runs import one_layer_config

from transformer_jax.config.experiment import ExperimentConfig, MeshConfig
from transformer_jax.config.program_settings import OF_THE_RUN, program_settings
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.loss.evaluation_step import make_evaluation_step
from transformer_jax.training.state import abstract_state
from transformer_jax.training.step import make_train_step

OTHERS = {
    "num_steps": 7,
    "initial_checkpoint": "another",
    "log_every_steps": 3,
    "evaluate_every_steps": 5,
    "validation_bleu_sentences": 2,
    "bleu_tokenizer": "char",
    "checkpoint_every_steps": 3,
    "checkpoint_every_minutes": 1.0,
    "keep_last": 2,
    "keep_best": 2,
    "best_metric": "bleu",
    "patience_evaluations": 3,
    "max_skipped_steps": 3,
    "max_rollbacks": 1,
    "if_save_fails": "continue",
    "stall_minutes": 5.0,
}
CONFIG = one_layer_config()


def programs(config: ExperimentConfig) -> list[str]:
    """Returns the program of an update, and of an evaluation."""
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    state, batch = abstract_state(config, mesh), batch_of(0, first=5)
    update = make_train_step(config, mesh).lower(state, batch)
    evaluation = make_evaluation_step(config, mesh).lower(state.params, batch)
    return [update.as_text(), evaluation.as_text()]


def test_settings_of_the_run_are_in_no_program():
    assert OTHERS.keys() == set(OF_THE_RUN)
    before = dataclasses.asdict(CONFIG.training)
    assert not [name for name, value in OTHERS.items() if before[name] == value]
    training = dataclasses.replace(CONFIG.training, **OTHERS)
    other = CONFIG.replace(training=training)
    assert program_settings(other) == program_settings(CONFIG)
    assert programs(other) == programs(CONFIG)


@pytest.mark.parametrize(
    "changes",
    [
        {"training__label_smoothing": 0.2},
        {"training__seed": 1},
        {"training__frozen": ("encoder",)},
        {"model__dropout_rate": 0.2},
        {"optimizer__beta2": 0.9},
    ],
    ids=str,
)
def test_other_settings_name_other_programs(changes):
    found = program_settings(one_layer_config(**changes))
    assert repr(found) != repr(program_settings(CONFIG))


def test_a_cooldown_is_counted_back_from_the_last_update():
    ends = [
        program_settings(
            one_layer_config(optimizer__cooldown_steps=2, training__num_steps=number)
        )
        for number in (5, 6)
    ]
    assert ends[0] != ends[1]
