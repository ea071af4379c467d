"""The command `attention`."""

import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

from transformer_jax.commands.attention_heads import print_heads
from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.models import Workdir, load_translator, parse_checkpoint
from transformer_jax.commands.output import print_note
from transformer_jax.commands.startup import show_log
from transformer_jax.errors import InputError
from transformer_jax.storage.outputs import find_output, open_output

if TYPE_CHECKING:
    from transformer_jax.config.model import ModelConfig
    from transformer_jax.translation.attention_maps import AttentionMaps
    from transformer_jax.translation.translator import Translator

Format: TypeAlias = Literal["html", "png", "svg", "pdf", "npz"]


def attention(
    workdir: Workdir,
    /,
    source: str | None = None,
    output: Path | None = None,
    target: str | None = None,
    format: Format | None = None,
    checkpoint: str = "latest",
    kind: Literal["encoder", "decoder", "cross"] | None = None,
    layer: int | None = None,
    heads: tuple[int, ...] | None = None,
    find: bool = False,
    split: Literal["train", "validation", "test"] | None = None,
    max_pairs: int | None = None,
    progress: bool = True,
) -> None:
    """Show what each head attends to, in one sentence or by a measure over many.

    A page of HTML has every layer and head for a sentence and its translation, and
    needs nothing but a browser. A picture (png, svg, pdf) has one layer, in the style
    of the paper's figures 3 to 5; npz has the numbers: encoder, decoder, cross, float32
    [layers, heads, query, key], and the pieces. Layers and heads are counted from 0.

    --find measures how well each head does each of some thirty jobs, as attending to
    the previous piece or to the word that is being written. One JSON object has the
    three most remarkable jobs of each head; a table of the best follows on standard
    error.

    Args:
        workdir: a work directory, or one checkpoint in it.
        source: the sentence; with --find, a file with one a line in place of a split.
        output: file to write.
        target: its translation, or a file of them; default, the model's own.
        format: default, what the name of the output ends with, else html.
        checkpoint: latest, best, average or a step.
        kind: of a picture: attention of the encoder, which is the default, of the
            decoder, or from the decoder to the encoder (cross).
        layer: of a picture; default, the last.
        heads: of a picture; default, all.
        find: look for heads that do a job.
        split: to find heads in: which of the data of the run; default, validation.
        max_pairs: to find heads in: most sentences, evenly spaced; default, 500.
        progress: while heads are found, show it on standard error.
    """
    show_log(False)
    which = parse_checkpoint(checkpoint)  # Before JAX is imported.
    picture = {"kind": kind, "layer": layer, "heads": heads}
    measure = {"split": split, "max_pairs": max_pairs}
    if find:
        page = {"output": output, "format": format, **picture}
        _refuse(page, "of no use with --find: leave it out")
        given = {name: value for name, value in measure.items() if value is not None}
        print_heads(workdir, which, source, target, {**given, "progress": progress})
        return
    _refuse(measure, "of use with --find: add that")
    if source is None or output is None:
        name = "--output" if output is None else "--source"
        raise InputError(f"{name} is missing: give --source and --output, or --find.")
    format = format or _format_of(output)
    if format in ("html", "npz") and set(picture.values()) != {None}:
        raise InputError(
            f"--kind, --layer and --heads are of pictures (png, svg, pdf): {format} "
            "has all."
        )
    found = find_output(output)
    if not source.strip():
        raise InputError("--source is empty: give a sentence.")
    translator = load_translator(workdir, checkpoint, ())
    kind = kind or "encoder"
    if format not in ("html", "npz"):
        _check_picture(translator.config.model, kind, layer, heads)
    maps = _maps(translator, source, target)
    contents = _contents(maps, format, kind, layer, heads)
    with open_output(found) as out:
        cast(io.TextIOWrapper, out).buffer.write(contents)


def _refuse(flags: Mapping[str, object], what: str) -> None:
    """Raises InputError if one of these flags is given."""
    for name, value in flags.items():
        if value is not None:
            raise InputError(f"--{name.replace('_', '-')} is {what}.")


def _check_picture(
    model: "ModelConfig", kind: str, layer: int | None, heads: tuple[int, ...] | None
) -> None:
    """Raises InputError if a model has no such layer or heads."""
    from transformer_jax.attention_pictures.figure import choose_heads

    encoder, decoder = model.num_encoder_layers, model.num_decoder_layers
    num_layers = encoder if kind == "encoder" else decoder
    with flags_in_errors({"layer=": "--layer ", "heads=": "--heads "}):
        choose_heads(num_layers, model.num_heads, layer, heads)


def _maps(translator: "Translator", source: str, target: str | None) -> "AttentionMaps":
    """Returns the weights for a sentence and its translation, or the model's own."""
    if target is None:
        from transformer_jax.attention_pictures.own_pairs import own_pairs

        ((_, target),) = own_pairs(translator, [source])
        print_note(f"translation: {target}")
    return translator.attention(source, target)


def _contents(
    maps: "AttentionMaps",
    format: Format,
    kind: Literal["encoder", "decoder", "cross"],
    layer: int | None,
    heads: tuple[int, ...] | None,
) -> bytes:
    """Returns the contents of a file of a format."""
    if format == "html":
        return _html(maps)
    if format == "npz":
        return _npz(maps)
    from transformer_jax.attention_pictures.figure import attention_figure, figure_bytes

    return figure_bytes(attention_figure(maps, kind, layer, heads), format)


def _format_of(output: Path) -> Format:
    ending = output.suffix.removeprefix(".").lower()
    formats: tuple[Format, ...] = get_args(Format)
    for each in formats:
        if each == ending:
            return each
    return "html"


def _html(maps: "AttentionMaps") -> bytes:
    from transformer_jax.attention_pictures.page import attention_page

    return attention_page(maps).html.encode()


def _npz(maps: "AttentionMaps") -> bytes:
    import numpy as np

    file = io.BytesIO()
    np.savez_compressed(file, **dataclasses.asdict(maps))
    return file.getvalue()
