"""The command `train`."""

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.output import print_json, print_note
from transformer_jax.commands.settings import PAPER_BASE, ConfigFile, Settings
from transformer_jax.commands.startup import Joined, Processes, show_log


def train(
    config: ConfigFile,
    /,
    workdir: str,
    progress: bool = True,
    settings: Settings = PAPER_BASE,
    processes: Joined = Processes(),  # noqa: B008
) -> None:
    """Train a model into a work directory, or continue training it.

    Prepares data and tokenizer if absent, trains, evaluates, checkpoints. The same
    command continues an interrupted run exactly.

    Args:
        config: TOML file with settings, or a name, as multi30k_en_de; a setting that
            is left out is that of the paper's base model.
        workdir: directory of the run: settings, tokenizer, checkpoints, metrics.
        progress: show progress on standard error.
    """
    show_log(progress)
    processes.start()
    from transformer_jax.devices.joining import is_primary
    from transformer_jax.training.train import train

    with flags_in_errors({"workdir=": "--workdir "}):
        result = train(settings, workdir, progress=progress, alone=processes.alone)
    if is_primary():
        step = int(result.state.step)
        print_note(
            f"trained to step {step:,}; now `transformer-jax translate {workdir}`, or "
            f"`transformer-jax average {workdir}` first"
        )
        lines = [line for line in result.history if line["kind"] == "validation"]
        # A finished run that was copied without its metrics has no line.
        print_json((lines or result.history or [{"step": step}])[-1])
