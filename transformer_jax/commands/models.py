"""Trained models, chosen by flags."""

import contextlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import tyro

from transformer_jax.commands.output import print_note
from transformer_jax.config.decoding_keywords import DecodingSettings
from transformer_jax.errors import InputError

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from transformer_jax.checkpoints.choosing import Which
    from transformer_jax.translation.translator import Translator

Workdir = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]
"""A work directory or one of its checkpoints, as the first argument."""


def parse_checkpoint(checkpoint: str) -> "Which":
    """Returns the value of the flag `--checkpoint`: a word, or a step.

    Raises:
        InputError: it is neither.
    """
    names: tuple[Which, ...] = ("latest", "best", "average")
    if re.fullmatch("0|[1-9][0-9]{0,17}", checkpoint):
        return int(checkpoint)
    for name in names:
        if name == checkpoint:
            return name
    raise InputError(
        f"--checkpoint {checkpoint} must be latest, best, average or a step."
    )


def load_translator(
    workdir: str, checkpoint: str, ensemble: Sequence[str], mesh: "Mesh | None" = None
) -> "Translator":
    """Returns the model of a work directory, or an ensemble, and says which it is.

    Args:
        ensemble: more work directories, each with the same choice of a checkpoint, or
            single checkpoints.
    """
    from transformer_jax.checkpoints.contents import is_checkpoint
    from transformer_jax.storage.work_directory import work_directory
    from transformer_jax.translation.translator import Translator

    which = parse_checkpoint(checkpoint)
    models: list[tuple[str, Which]] = [(workdir, which)]
    for member in ensemble:
        alone = is_checkpoint(work_directory(member))
        models.append((member, "latest" if alone else which))
    # A training run may write the next one between the word and the deed.
    models = [(folder, note_checkpoint(folder, chosen)) for folder, chosen in models]
    (_, which), *others = models
    return Translator.from_checkpoint(workdir, which, ensemble=others, mesh=mesh)


def check_alignments(alignments: bool, decoding: DecodingSettings) -> None:
    """Checks that the layer of alignments is not chosen where there are none.

    Raises:
        InputError: it is.
    """
    if "alignment_layer" in decoding and not alignments:
        raise InputError("--alignment-layer is of use with --alignments: add that.")


def note_alignments(translator: "Translator", decoding: DecodingSettings) -> None:
    """Says which decoder layer aligns words, in the primary process.

    Raises:
        InputError: a model has no such layer.
    """
    from transformer_jax.devices.joining import is_primary
    from transformer_jax.scoring.alignment import alignment_layers

    layers = alignment_layers(
        translator, translator.config.decoding.replace(**decoding)
    )
    if is_primary():
        names = ", ".join(
            f"{layer} (of 0 to {config.num_decoder_layers - 1})"
            for layer, (config, _) in zip(layers, translator.models, strict=True)
        )
        print_note(f"alignments: attention of decoder layer {names}")


def note_checkpoint(workdir: str, which: "Which") -> "Which":
    """Says which checkpoint a choice is, in the primary process.

    Returns:
        The same choice, with a step in place of the latest and the best.

    Raises:
        InputError: there is no such checkpoint.
    """
    from transformer_jax.checkpoints.choosing import averages, checkpoint_dir
    from transformer_jax.checkpoints.contents import averaged_steps, is_checkpoint
    from transformer_jax.devices.joining import is_primary
    from transformer_jax.storage.work_directory import work_directory

    folder = work_directory(workdir)
    alone = is_checkpoint(folder)
    # checkpoint_dir would say that the run has gone on since, as it does when loading.
    found = averages(folder) if which == "average" and not alone else []
    directory = found[-1] if found else checkpoint_dir(workdir, which)
    steps = averaged_steps(directory)
    if steps:
        described = f"average of steps {', '.join(map(str, steps))}"
    elif not directory.name.isdecimal():  # One that was copied may have any name.
        described = "a single checkpoint"
    else:
        described = f"checkpoint of step {directory.name}"
        if isinstance(which, str) and not alone:
            described += f" ({which})"
    hint = ""
    if which == "latest" and not alone:
        # A damaged average is no concern of a command that does not use it.
        with contextlib.suppress(InputError):
            newer = [averaged_steps(path)[-1] for path in averages(folder)[-1:]]
            if newer and newer[0] >= int(directory.name):
                hint = (
                    f"; there is an average of steps up to {newer[0]}: --checkpoint "
                    "average"
                )
    if is_primary():
        print_note(f"model: {workdir}, {described}{hint}")
    return which if alone or which == "average" else int(directory.name)
