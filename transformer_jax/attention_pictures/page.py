"""A page that shows attention weights in a browser: one file that needs no network."""

import base64
import functools
import html
import json
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any

import numpy as np

from transformer_jax.errors import InputError
from transformer_jax.translation.attention_maps import AttentionMaps

_FRAME_HEIGHT = 720  # pixels of a notebook's cell


@dataclass(frozen=True, repr=False)
class AttentionPage:
    """A page of HTML: in a notebook it shows itself.

    Example:
        >>> translator = tj.Translator.from_checkpoint(workdir)
        >>> page = tj.attention_page(translator.attention("A house.", "Ein Haus."))
        >>> page.html[:15]
        '<!doctype html>'
    """

    html: str
    """The whole page, for a file in UTF-8."""

    def _repr_html_(self) -> str:
        # A frame, so that page and notebook share neither style nor names.
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" width="100%" '
            f'height="{_FRAME_HEIGHT}" style="border: 0"></iframe>'
        )


def attention_page(maps: AttentionMaps, title: str = "Attention") -> AttentionPage:
    """Returns a page with the weights of every layer and head for one sentence pair.

    Three kinds of attention (encoder, decoder, decoder to encoder), by layer and head:
    as lines between pieces, as heat maps, or all heads at once. Layers and heads are
    counted from 0. The weights in the page are the model's own float32 numbers.

    Args:
        maps: what `Translator.attention` returns.
        title: heading of the page.

    Raises:
        InputError: these are no attention maps.

    Example:
        >>> translator = tj.Translator.from_checkpoint(workdir)
        >>> maps = translator.attention("A house.", "Ein Haus.")
        >>> "A house" in tj.attention_page(maps, title="A house").html
        True

    Paper: figures 3 to 5.
    """
    if not isinstance(maps, AttentionMaps):
        raise InputError(
            f"maps={maps!r:.60} must be what Translator.attention returns."
        )
    contents = {
        "source": maps.source_pieces,
        "target": maps.target_pieces,
        "attention": {
            "encoder": _encode(maps.encoder),
            "decoder": _encode(maps.decoder),
            "cross": _encode(maps.cross),
        },
    }
    # Inside a script only the end of it could be mistaken.
    data = json.dumps(contents, ensure_ascii=False).replace("<", "\\u003c")
    page = Template(_part("page.html")).substitute(
        title=html.escape(title),
        style=_part("page.css"),
        script=_part("page.js"),
        data=data,
    )
    return AttentionPage(page)


def _encode(weights: np.ndarray) -> dict[str, Any]:
    raw = np.ascontiguousarray(weights, "<f4").tobytes()
    return {"shape": weights.shape, "weights": base64.b64encode(raw).decode()}


@functools.cache
def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
