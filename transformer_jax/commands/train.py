"""The command `train`."""

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.output import print_json, print_note
from transformer_jax.commands.settings import PAPER_BASE, ConfigFile, Settings
from transformer_jax.commands.startup import Joined, Processes, show_log


def train(
    config: ConfigFile,
    /,
    workdir: str,
    from_step: int | None = None,
    progress: bool = True,
    settings: Settings = PAPER_BASE,
    processes: Joined = Processes(),  # noqa: B008
) -> None:
    """Train a model into a work directory, or continue training it.

    Prepares data and tokenizer if absent, trains, evaluates, checkpoints. The same
    command continues an interrupted run: on the same mesh to the bit. With
    training.patience_evaluations a run stops where validation no longer improves.

    Args:
        config: TOML file with settings, or a name, as multi30k_en_de; a setting that
            is left out is that of the paper's base model.
        workdir: directory of the run: settings, tokenizer, checkpoints, metrics.
        from_step: continue the checkpoint of this step; later ones are set aside.
        progress: show progress on standard error.
    """
    show_log(progress)
    processes.start(settings)
    from transformer_jax.devices.joining import is_primary
    from transformer_jax.training.train import train

    flags = {
        "workdir=": "--workdir ",
        "from_step": "--from-step",
        "data.accept_other_text=true": "--data.accept-other-text",
    }
    with flags_in_errors(flags):
        result = train(
            settings,
            workdir,
            progress=progress,
            alone=processes.alone,
            from_step=from_step,
        )
    if is_primary():
        step = int(result.state.step)
        task = "parse" if settings.treebank.is_used else "translate"
        end, chosen = f"trained to step {step:,}", ""
        if result.stopped_early:
            end = f"stopped early at step {step:,}: {result.stopped_early}"
            chosen = " --checkpoint best"
        print_note(
            f"{end}; now `transformer-jax {task} {workdir}{chosen}` or `evaluate`, "
            f"or `transformer-jax average {workdir}` first"
        )
        # Of the last step only; a run that was copied without its metrics has no line.
        lines = [line for line in result.history if line["step"] == step]
        by_kind = {line["kind"]: line for line in lines}
        print_json(by_kind.get("validation", by_kind.get("train", {"step": step})))
