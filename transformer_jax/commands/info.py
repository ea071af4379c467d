"""The command `info`."""

import dataclasses
from typing import Annotated, Any

import tyro

from transformer_jax.commands.output import print_json
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import load_config
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import StoredPath, work_directory


def info(
    path: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")],
    /,
    verify: bool = False,
) -> None:
    """Show settings, parameters of each block and FLOPs of a token, as JSON.

    `on_this_hardware` lists what each setting of null becomes on the devices here. For
    a work directory, also its checkpoints, the steps of each average, the checkpoint
    that the run began with, and why it has `stopped_early`, null where it has not.

    Args:
        path: TOML file with settings, name of a configuration, as multi30k_en_de, work
            directory, or one checkpoint.
        verify: read every file of a work directory or checkpoint and say what is whole;
            exit code 2 if anything is not.
    """
    stored: dict[str, Any] = {}
    folder = work_directory(path)
    if folder.is_dir():
        if verify:
            _verify(folder)
            return
        config, stored = _describe_stored(folder)
    else:
        if verify:
            raise InputError(f"--verify needs a work directory: {path} is none.")
        config = load_config(path)
    from transformer_jax.cost.model_flops import flops_per_target_token
    from transformer_jax.model.parts import count_trained
    from transformer_jax.model.size import parameter_counts

    counts = parameter_counts(config.model)
    print_json(
        {
            "num_parameters": sum(counts.values()),
            "num_trained_parameters": count_trained(
                config.model, config.training.frozen
            ),
            "parameters": counts,
            "flops_per_target_token": flops_per_target_token(config.model),
            **stored,
            "on_this_hardware": _decided_settings(config),
            "config": dataclasses.asdict(config),
        }
    )


def _describe_stored(folder: StoredPath) -> tuple[ExperimentConfig, dict[str, Any]]:
    """Returns the settings in a directory, and what else lies there."""
    from transformer_jax.checkpoints.choosing import averages, checkpoint_dir, steps_in
    from transformer_jax.checkpoints.contents import (
        averaged_steps,
        is_checkpoint,
        load_config_of,
    )
    from transformer_jax.checkpoints.origin import ORIGIN, origin_of

    if is_checkpoint(folder):
        stored = {"averaged_steps": averaged_steps(folder), ORIGIN: origin_of(folder)}
        return load_config_of(folder), stored
    steps = steps_in(folder)
    if not (steps or (folder / "config.json").exists()):
        raise InputError(
            f"{folder} is neither a work directory nor a checkpoint: it has no "
            "config.json and no checkpoints."
        )
    stored = {
        "checkpoints": steps,
        "averages": {path.name: averaged_steps(path) for path in averages(folder)},
        ORIGIN: origin_of(checkpoint_dir(folder, steps[-1])) if steps else None,
    }
    if (folder / "config.json").exists():
        config = load_config(folder / "config.json")
    else:
        config = load_config_of(checkpoint_dir(folder, steps[-1]))
    return config, {**stored, "stopped_early": _why_over(folder, steps, config)}


def _why_over(
    folder: StoredPath, steps: list[int], config: ExperimentConfig
) -> str | None:
    """Returns why the run in a directory has ended before its last step, or None."""
    from transformer_jax.checkpoints.reader import StoredCheckpoints
    from transformer_jax.training.run_record import stored_record

    if not steps:
        return None
    try:
        record = stored_record(StoredCheckpoints(folder), steps[-1], config.training)
    except InputError:  # What is damaged is told by --verify.
        return None
    return record.why_over(steps[-1], config.training)


def _verify(folder: StoredPath) -> None:
    """Prints which parts of a directory are whole.

    Raises:
        InputError: one is not.
    """
    from transformer_jax.verification.verify import verify_parts

    parts = verify_parts(folder)
    print_json({"verified": parts})
    damages = [state for state in parts.values() if state != "whole"]
    if damages:
        raise InputError(f"{len(damages)} of {len(parts)} parts: {damages[0]}")


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
