"""The command `reproduce`."""

from typing import Annotated, Any

import tyro

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.output import print_json, print_note
from transformer_jax.commands.settings import PAPER_BASE, Settings
from transformer_jax.commands.startup import Joined, Processes, show_log
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import differences
from transformer_jax.errors import InputError

# Arguments of `reproduce` as its errors name them, and as the shell's user does.
_FLAGS = {
    "workdir=": "--workdir ",
    "width_scale=": "--width-scale ",
    "depth_scale=": "--depth-scale ",
    "scale=": "--scale ",
}
_TABLE_1, _TABLE_3, _CLAIM = "table1", "table3", "claim-"

Target = Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="TARGET")]


def settings_of(target: str) -> ExperimentConfig:
    """Returns the settings of a full run of a target, the defaults of the flags.

    Raises:
        InputError: there is no such target.
    """
    if target in (_TABLE_1, _TABLE_3):
        return PAPER_BASE
    if target.startswith(_CLAIM):
        from transformer_jax.reproduction.claims.claims import claim_settings

        return claim_settings()
    from transformer_jax.reproduction.scaling import target_settings
    from transformer_jax.reproduction.targets import find_target

    return target_settings(find_target(target))


def reproduce(
    target: Target = None,
    /,
    workdir: str | None = None,
    scale: float = 1.0,
    width_scale: float = 1.0,
    depth_scale: float = 1.0,
    list: bool = False,
    summary: tuple[str, ...] = (),
    progress: bool = True,
    settings: Settings = PAPER_BASE,
    processes: Joined = Processes(),  # noqa: B008
) -> None:
    """Make a result of the paper again: data, training, decoding, and a verdict.

    The same command continues where it was interrupted. `table1` measures the layers of
    Table 1; `table3 --summary DIR...` draws the table of all finished rows; what the
    text claims: claim-attention-scale, claim-trained-lengths, claim-label-smoothing.

    Args:
        target: a result, as table2-base-en-de or table3-A1; --list shows all.
        workdir: directory of the run, for the verdict too; of a table, for its files.
        scale: part of the updates to make, as 0.01.
        width_scale: part of d_model, d_ff, d_k and d_v, for small machines.
        depth_scale: part of the layers.
        list: show all targets and what they need.
        summary: work directories of rows of Table 3.
        progress: show progress, and results for people, on standard error.
    """
    show_log(progress)
    if list:
        from transformer_jax.reproduction.needs import needs_of_targets, needs_table

        needs = needs_of_targets()
        if progress:
            print_note(needs_table(needs))
        print_json(needs)
        return
    if target is None:
        raise InputError("name a target, as table2-base-en-de; --list shows all.")
    if summary and target != _TABLE_3:
        raise InputError(f"--summary is of table3, not of {target}: leave it out.")
    if target in (_TABLE_1, _TABLE_3):
        _refuse_settings(target, settings)
    if target in (_TABLE_1, _TABLE_3) or target.startswith(_CLAIM):
        _refuse_scales(target, scale, width_scale, depth_scale)
    if target == _TABLE_3:
        _draw_table_3(summary, workdir or ".", progress)
        return
    if workdir is None:
        raise InputError(f"{target} needs --workdir: name the directory of the run.")
    processes.start(None if target == _TABLE_1 else settings)
    with flags_in_errors(_FLAGS):
        if target == _TABLE_1:
            _measure_table_1(workdir, progress)
        elif target.startswith(_CLAIM):
            _measure_claim(target, workdir, settings, progress)
        else:
            _reproduce(
                target,
                workdir,
                config=settings,
                scale=scale,
                width_scale=width_scale,
                depth_scale=depth_scale,
                alone=processes.alone,
                progress=progress,
            )


def _refuse_scales(target: str, *scales: float) -> None:
    if any(scale != 1 for scale in scales):
        raise InputError(
            f"{target} is no part of a run of the paper: leave out --scale, "
            "--width-scale and --depth-scale; its sizes are settings, as "
            "--model.d-model and --training.num-steps."
            if target.startswith(_CLAIM)
            else f"{target} trains nothing: leave out --scale, --width-scale and "
            "--depth-scale."
        )


def _refuse_settings(target: str, settings: ExperimentConfig) -> None:
    changed = next(differences(PAPER_BASE, settings), None)
    if changed is not None:
        name = changed.split(":")[0]
        raise InputError(
            f"{target} trains nothing, and has no settings: leave out {name}."
        )


def _reproduce(target: str, workdir: str, **arguments: Any) -> None:
    from transformer_jax.devices.joining import is_primary
    from transformer_jax.reproduction.reproduce import reproduce
    from transformer_jax.reproduction.verdict import verdict_markdown

    verdict = reproduce(target, workdir, **arguments)
    if is_primary():
        if arguments["progress"]:
            print_note(verdict_markdown(verdict))
        print_json(verdict)


def _measure_table_1(workdir: str, progress: bool) -> None:
    from transformer_jax.reproduction.table_1.measure import measure_table_1

    print_json(measure_table_1(workdir, progress=progress))


def _measure_claim(
    target: str, workdir: str, settings: ExperimentConfig, progress: bool
) -> None:
    from transformer_jax.reproduction.claims.claims import measure_claim
    from transformer_jax.reproduction.claims.report import claim_markdown

    found = measure_claim(target, workdir, config=settings, progress=progress)
    if progress:
        print_note(claim_markdown(found))
    print_json(found)


def _draw_table_3(directories: tuple[str, ...], output: str, progress: bool) -> None:
    if not directories:
        raise InputError(
            "table3 is made of finished rows: name their work directories after "
            "--summary. A row is a target of its own, as table3-A1."
        )
    from transformer_jax.reproduction.table_3 import summarise_table_3

    summary = summarise_table_3(directories, output)
    if progress:
        print_note(summary["markdown"])
    print_json(summary)
