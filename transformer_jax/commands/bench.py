"""The command `bench`."""

import dataclasses
from pathlib import Path

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.output import print_json
from transformer_jax.commands.settings import PAPER_BASE, ConfigFile, Settings
from transformer_jax.commands.startup import Joined, Processes, show_log

# Arguments of `benchmark` as its errors name them, and as the shell's user does.
_FLAGS = {
    "num_steps=": "--num-steps ",
    "warmup_steps=": "--warmup-steps ",
    "profile_dir=": "--profile ",
    "workdir=": "--workdir ",
}


def bench(
    config: ConfigFile,
    /,
    workdir: str | None = None,
    num_steps: int = 30,
    warmup_steps: int = 3,
    profile: Path | None = None,
    progress: bool = True,
    settings: Settings = PAPER_BASE,
    processes: Joined = Processes(),  # noqa: B008
) -> None:
    """Measure what an update costs on this machine, as one JSON object.

    Args:
        config: TOML file with settings, or a name, as multi30k_en_de.
        workdir: measure on the data of the settings, prepared in this directory;
            otherwise on made-up sentences.
        num_steps: updates that are measured.
        warmup_steps: updates before them.
        profile: directory for a trace of some more updates, for TensorBoard or
            Perfetto.
        progress: show progress on standard error.
    """
    show_log(progress)
    processes.start(settings)
    from transformer_jax.cost.benchmark import benchmark

    with flags_in_errors(_FLAGS):
        result = benchmark(
            settings,
            workdir,
            num_steps=num_steps,
            warmup_steps=warmup_steps,
            profile_dir=profile,
        )
    print_json(dataclasses.asdict(result))
