"""Settings of a part of a run."""

import dataclasses

import pytest

from transformer_jax.errors import InputError
from transformer_jax.reproduction.scaling import (
    Scale,
    changes,
    chosen_settings,
    scale_settings,
    target_settings,
)
from transformer_jax.reproduction.targets import TARGETS
from transformer_jax.training.optimizer import make_schedule

BASE = TARGETS["table3-base"]
SHORT = {"updates": 0.01}


def scaled(name, **scale):
    target = TARGETS[name]
    return scale_settings(target_settings(target), target, Scale(**scale))


def test_all_rows_are_scaled_alike():
    found = {
        row: scaled(f"table3-{row}", updates=0.01, width=0.25, depth=0.5)
        for row in ("base", "A1", "A4", "B1", "C1", "C3", "C4", "C7", "big")
    }
    sizes = {
        row: (
            config.model.num_encoder_layers, config.model.d_model, config.model.d_ff,
            config.model.num_heads, config.model.key_size, config.model.value_size,
        )
        for row, config in found.items()
    }  # fmt: skip
    assert sizes == {
        "base": (3, 128, 512, 8, 16, 16),
        "A1": (3, 128, 512, 1, 128, 128),
        "A4": (3, 128, 512, 32, 4, 4),
        "B1": (3, 128, 512, 8, 4, 16),
        "C1": (1, 128, 512, 8, 16, 16),
        "C3": (4, 128, 512, 8, 16, 16),
        "C4": (3, 64, 512, 8, 8, 8),
        "C7": (3, 128, 1024, 8, 16, 16),
        "big": (3, 256, 1024, 16, 16, 16),
    }
    for row, config in found.items():
        assert config.training.num_steps == (3_000 if row == "big" else 1_000)
        assert config.optimizer.warmup_steps == 40
        # As few as a row needs, of which the last alone is scored.
        assert config.training.checkpoint_every_steps == (150 if row == "big" else 50)


def test_the_learning_rate_is_that_of_the_paper_gone_through_faster():
    whole, part = (make_schedule(scaled("table3-base", **by)) for by in ({}, SHORT))
    for step in (1, 39, 40, 41, 500, 1_000):  # Schedules count from 0.
        faster, paper = part(step - 1), whole(100 * step - 1)
        assert float(faster) == pytest.approx(float(paper), rel=1e-5)


def test_a_warm_up_that_was_chosen_keeps_its_rate():
    config = target_settings(BASE)
    config = config.replace(
        optimizer=dataclasses.replace(config.optimizer, warmup_steps=100)
    )
    found = scale_settings(config, BASE, Scale(updates=0.01)).optimizer
    assert (found.warmup_steps, found.learning_rate_scale) == (100, 1.0)


def test_only_what_was_chosen_is_named():
    config = target_settings(BASE)
    config = config.replace(
        training=dataclasses.replace(config.training, num_steps=700, seed=3),
        model=dataclasses.replace(config.model, d_ff=640, remat="none"),
    )
    scale = Scale(updates=0.1, width=0.5)
    found = chosen_settings(scale_settings(config, BASE, scale), BASE, scale)
    assert found == {"model.d_ff": "640", "training.num_steps": "700"}


def test_what_was_chosen_stays():
    config = target_settings(BASE)
    chosen = config.replace(
        training=dataclasses.replace(config.training, num_steps=700),
        model=dataclasses.replace(config.model, d_ff=640),
    )
    found = scale_settings(chosen, BASE, Scale(updates=0.1, width=0.5))
    assert (found.training.num_steps, found.model.d_ff) == (700, 640)
    assert (found.optimizer.warmup_steps, found.model.d_model) == (400, 256)


def test_a_full_run_differs_by_nothing():
    config = target_settings(BASE)
    assert scale_settings(config, BASE, Scale()) == config
    elsewhere = config.replace(
        data=dataclasses.replace(config.data, data_dir="/data"),
        model=dataclasses.replace(config.model, remat="none", scan_unroll=None),
        training=dataclasses.replace(config.training, seed=3),
    )
    assert changes(elsewhere, BASE) == []


def test_what_matters_is_named():
    found = changes(scaled("table3-base", updates=0.25), BASE)
    assert found == [
        "optimizer.warmup_steps: 4000 -> 1000",
        "optimizer.learning_rate_scale: 1.0 -> 0.5",
        "training.num_steps: 100000 -> 25000",
        "training.checkpoint_every_steps: 1500 -> 1250",
    ]


@pytest.mark.parametrize("name", ["updates", "width", "depth"])
@pytest.mark.parametrize("value", [0.0, -1.0, 1.5, float("nan")])
def test_a_scale_out_of_range_is_refused(name, value):
    with pytest.raises(InputError, match=r"scale=.* must be more than 0"):
        Scale(**{name: value})


def test_a_scale_that_leaves_no_heads_is_refused():
    with pytest.raises(InputError, match=r"model\."):
        scaled("table3-base", width=0.01)


def test_a_scaled_size_that_is_not_used_need_not_be_possible():
    """A tenth of 512 is no multiple of the heads, but every size was chosen."""
    config, scale = target_settings(BASE), Scale(width=0.1)
    sizes = {"d_model": 32, "d_ff": 64, "num_heads": 2}
    config = config.replace(model=dataclasses.replace(config.model, **sizes))
    found = scale_settings(config, BASE, scale)
    assert found.model == config.model
    chosen = chosen_settings(found, BASE, scale)
    assert chosen == {f"model.{name}": str(value) for name, value in sizes.items()}
    with pytest.raises(InputError, match=r"at 0\.1 of the width: model\.d_model=51"):
        scale_settings(target_settings(BASE), BASE, scale)
