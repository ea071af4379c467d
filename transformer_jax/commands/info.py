"""The command `info`."""

import contextlib
import dataclasses
from typing import Any

import tyro

from transformer_jax.commands.output import print_json
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import load_config
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import StoredPath, work_directory


def info(path: tyro.conf.Positional[str], /) -> None:
    """Show settings, parameters of each block and FLOPs of a token, as JSON.

    `on_this_hardware` lists what each setting of null becomes on the devices here. For
    a work directory, also its checkpoints and the steps of each average.

    Args:
        path: TOML file with settings, name of a configuration, as multi30k_en_de, work
            directory, or one checkpoint.
    """
    stored: dict[str, Any] = {}
    folder = work_directory(path)
    if folder.is_dir():
        config, stored = _describe_stored(folder)
    else:
        config = load_config(path)
    from transformer_jax.cost.model_flops import flops_per_target_token
    from transformer_jax.model.size import parameter_counts

    counts = parameter_counts(config.model)
    print_json(
        {
            "num_parameters": sum(counts.values()),
            "parameters": counts,
            "flops_per_target_token": flops_per_target_token(config.model),
            **stored,
            "on_this_hardware": _decided_settings(config),
            "config": dataclasses.asdict(config),
        }
    )


def _describe_stored(folder: StoredPath) -> tuple[ExperimentConfig, dict[str, Any]]:
    """Returns the settings in a directory, and its checkpoints and averages."""
    from transformer_jax.checkpoints import manager as checkpoint
    from transformer_jax.checkpoints.contents import is_checkpoint, load_description

    if is_checkpoint(folder):
        steps = checkpoint.averaged_steps(folder)
        return load_description(folder)[0], {"averaged_steps": steps}
    if not (folder / "config.json").exists():
        raise InputError(
            f"{folder} is neither a work directory nor a checkpoint: it has no "
            "config.json."
        )
    config, steps = load_config(folder / "config.json"), []
    if (folder / checkpoint.CHECKPOINTS).is_dir():
        with contextlib.closing(checkpoint.Checkpoints(folder)) as checkpoints:
            steps = checkpoints.steps
    averages = {
        directory.name: checkpoint.averaged_steps(directory)
        for directory in checkpoint.averages(folder)
    }
    return config, {"checkpoints": steps, "averages": averages}


def _decided_settings(config: ExperimentConfig) -> dict[str, Any] | None:
    """Returns the settings that the hardware decides; None if no device answers."""
    from transformer_jax.config.experiment import MeshConfig
    from transformer_jax.config.reading import config_to_dict
    from transformer_jax.devices.defaults import decide_defaults
    from transformer_jax.devices.mesh import make_mesh

    try:
        mesh = make_mesh(MeshConfig())
    except RuntimeError:  # Another process holds the TPUs.
        return None
    before = config_to_dict(config)
    return {
        f"{section}.{name}": value
        for section, fields in config_to_dict(decide_defaults(config, mesh)).items()
        for name, value in fields.items()
        if value != before[section][name]
    }
