"""Commands that take settings: train, prepare, bench, plan."""

import dataclasses
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from transformer_jax.commands.output import print_json
from transformer_jax.commands.startup import Joined, Processes
from transformer_jax.config import ExperimentConfig
from transformer_jax.config_io import config_from_dict, config_to_dict
from transformer_jax.errors import InputError

NAMES = ("train", "prepare", "bench", "plan")

Config = tyro.conf.Positional[str]
Command = Callable[..., None]
Settings = Annotated[ExperimentConfig, tyro.conf.arg(name="")]


def commands(defaults: ExperimentConfig) -> dict[str, Command]:
    """Returns the commands; each setting is a flag whose default is given here."""
    makers = _make_train, _make_prepare, _make_bench, _make_plan
    return {n: make(defaults) for n, make in zip(NAMES, makers, strict=True)}


def _make_train(defaults: ExperimentConfig) -> Command:
    def train(
        config: Config,
        /,
        workdir: str,
        settings: Settings = defaults,
        processes: Joined = Processes(),  # noqa: B008
    ) -> None:
        """Train a model into a work directory, or continue training it.

        Prepares data and tokenizer if absent, trains, evaluates, checkpoints. The same
        command continues an interrupted run exactly.

        Args:
            config: TOML file with the settings; what it leaves out is the paper's base.
            workdir: directory of the run: settings, tokenizer, checkpoints, metrics.
        """
        processes.start()
        from transformer_jax.distributed import is_primary
        from transformer_jax.training.loop import train

        result = train(settings, workdir, alone=processes.alone)
        lines = [line for line in result.history if line["kind"] == "validation"]
        if is_primary():
            print_json(lines[-1] if lines else {"step": int(result.state.step)})

    return train


def _make_prepare(defaults: ExperimentConfig) -> Command:
    def prepare(config: Config, /, workdir: str, settings: Settings = defaults) -> None:
        """Make the data and the tokenizer of a work directory, without training.

        Args:
            config: TOML file with the settings.
            workdir: directory of the run.
        """
        from transformer_jax.data.prepare import prepare

        data = prepare(settings, workdir)
        print_json(
            {
                "num_train_pairs": data.train.num_pairs,
                "num_empty_pairs": data.train.num_empty,
                "source_tokens": int(data.train.source_lengths.sum()),
                "target_tokens": int(data.train.target_lengths.sum()),
                "source_vocab_size": data.tokenizer.source_vocab_size,
                "target_vocab_size": data.tokenizer.target_vocab_size,
            }
        )

    return prepare


def _make_bench(defaults: ExperimentConfig) -> Command:
    def bench(
        config: Config,
        /,
        workdir: str | None = None,
        num_steps: int = 30,
        warmup_steps: int = 3,
        profile: Path | None = None,
        settings: Settings = defaults,
        processes: Joined = Processes(),  # noqa: B008
    ) -> None:
        """Measure what an update costs on this machine, as one JSON object.

        Args:
            config: TOML file with the settings.
            workdir: measure on the data of the settings, prepared in this directory;
                otherwise on made-up sentences.
            num_steps: updates that are measured.
            warmup_steps: updates before them.
            profile: directory for a trace of some more updates, for TensorBoard or
                Perfetto.
        """
        processes.start()
        from transformer_jax.benchmark import benchmark

        result = benchmark(
            settings,
            workdir,
            num_steps=num_steps,
            warmup_steps=warmup_steps,
            profile_dir=profile,
        )
        print_json(dataclasses.asdict(result))

    return bench


def _make_plan(defaults: ExperimentConfig) -> Command:
    def plan(
        config: Config,
        /,
        topology: str,
        num_slices: int = 1,
        compare: tuple[str, ...] = (),
        recommend: bool = False,
        operations: int = 0,
        settings: Settings = defaults,
    ) -> None:
        """Compile an update for TPUs that are not here: its cost per chip, as JSON.

        Args:
            config: TOML file with the settings.
            topology: TPU version and chips along each dimension of a slice, as v5e:4x4.
            num_slices: slices joined by the data-centre network.
            compare: other settings to put beside these, each written as
                model.remat=layer,mesh.fsdp=4; a mesh replaces the whole mesh.
            recommend: try the few meshes worth it and name the one that is fastest by
                its roofline.
            operations: show so many of the dearest instructions.
        """
        # Nothing runs on a device, so none is taken from who uses it.
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        from transformer_jax.commands.planning import run_plan

        variants = {text: changed(settings, text) for text in compare}
        result = run_plan(
            settings, topology, num_slices, variants, recommend, operations
        )
        print_json(result)

    return plan


def changed(settings: ExperimentConfig, text: str) -> ExperimentConfig:
    """Returns settings with some of them changed, as `model.remat=layer,mesh.fsdp=4`.

    A mesh that is named replaces the mesh as a whole.

    Raises:
        InputError: it cannot be read, or names a setting that is not there.
    """
    values = config_to_dict(settings)
    if "mesh." in text:
        values["mesh"] = {}
    for assignment in text.split(","):
        name, equals, value = assignment.strip().partition("=")
        section, dot, field = name.partition(".")
        if not (equals and dot and isinstance(values.get(section), dict)):
            raise InputError(
                f"--compare {text}: {assignment!r} must be section.field=value, as "
                "mesh.fsdp=4."
            )
        values[section][field] = _value(value)
    return config_from_dict(values)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
