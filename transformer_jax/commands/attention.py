"""The command `attention`."""

import dataclasses
import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

import tyro

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.models import load_translator, parse_checkpoint
from transformer_jax.commands.output import print_note
from transformer_jax.commands.startup import show_log
from transformer_jax.errors import InputError
from transformer_jax.storage.outputs import find_output, open_output

if TYPE_CHECKING:
    from transformer_jax.translation.attention_maps import AttentionMaps
    from transformer_jax.translation.translator import Translator

Format: TypeAlias = Literal["html", "png", "svg", "pdf", "npz"]


def attention(
    workdir: tyro.conf.Positional[str],
    /,
    source: str,
    output: Path,
    target: str | None = None,
    format: Format | None = None,
    checkpoint: str = "latest",
    kind: Literal["encoder", "decoder", "cross"] | None = None,
    layer: int | None = None,
    heads: tuple[int, ...] | None = None,
) -> None:
    """Show what each head attends to in a sentence and its translation.

    A page of HTML has every layer and head, and needs nothing but a browser. A picture
    (png, svg, pdf) has one layer, in the style of the paper's figures 3 to 5; npz has
    the numbers: encoder, decoder, cross, float32 [layers, heads, query, key], and the
    pieces. Layers and heads are counted from 0.

    Args:
        workdir: a work directory, or one checkpoint in it.
        source: the sentence.
        output: file to write.
        target: its translation; default, the model's own.
        format: default, what the name of the output ends with, else html.
        checkpoint: latest, best, average or a step.
        kind: of a picture: attention of the encoder, which is the default, of the
            decoder, or from the decoder to the encoder (cross).
        layer: of a picture; default, the last.
        heads: of a picture; default, all.
    """
    show_log(False)
    parse_checkpoint(checkpoint)  # Before JAX is imported.
    format = format or _format_of(output)
    if format in ("html", "npz") and (kind, layer, heads) != (None, None, None):
        raise InputError(
            f"--kind, --layer and --heads are of pictures (png, svg, pdf): {format} "
            "has all."
        )
    found = find_output(output)
    if not source.strip():
        raise InputError("--source is empty: give a sentence.")
    translator = load_translator(workdir, checkpoint, ())
    if target is None:
        target = _translation(translator, source)
        print_note(f"translation: {target}")
    maps = translator.attention(source, target)
    with flags_in_errors({"layer=": "--layer ", "heads=": "--heads "}):
        if format == "html":
            contents = _html(maps)
        elif format == "npz":
            contents = _npz(maps)
        else:
            from transformer_jax.attention_pictures.figure import (
                attention_figure,
                figure_bytes,
            )

            figure = attention_figure(maps, kind or "encoder", layer, heads)
            contents = figure_bytes(figure, format)
    with open_output(found) as out:
        cast(io.TextIOWrapper, out).buffer.write(contents)


def _translation(translator: "Translator", source: str) -> str:
    """Returns what the model makes of a sentence; of a parser, the tokens of a tree."""
    treebank = translator.config.treebank
    if not treebank.is_used:
        (target,) = translator.translate([source])
        return target
    from transformer_jax.parser.parser import Parser
    from transformer_jax.parsing.linearisation import linearise

    (tree,) = Parser(translator).parse([source])
    assert tree is not None  # It has words.
    return " ".join(linearise(tree, treebank.leaf_symbol))


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
