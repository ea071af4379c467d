"""Compiled programs of continuous batching.

Each device searches its own rows independently of the others. `start` makes a batch of
free rows, `encode` computes the keys and values of new sentences, `admit` puts these
sentences into free rows, `advance` decodes until enough rows are done, `pack` frees
slots of the cache, `resize` changes the array sizes of the batch.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from jax import Array
from jax.sharding import Mesh

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.model import ModelConfig
from transformer_jax.decoding.bracket_grammar import BracketGrammar
from transformer_jax.decoding.search_state import (
    BeamResult,
    Search,
    SearchState,
)
from transformer_jax.devices.defaults import decoding_dtypes
from transformer_jax.devices.own_rows import on_own_rows, own_rows, rows_to_read
from transformer_jax.devices.stored_programs import keep_whole
from transformer_jax.translation.batch_sizes import BatchSizes
from transformer_jax.translation.device_search import (
    CrossKeyValues,
    DeviceSearch,
    NewSentences,
)
from transformer_jax.translation.search_weights import (
    ModelParams,
    SearchWeights,
    make_weights_program,
)


@dataclass(frozen=True)
class SearchPrograms:
    """Compiled programs of one search. Each compiles again for new array sizes."""

    weights: Callable[[ModelParams], SearchWeights]
    """`params -> weights`; the same function in searches with the same models."""
    start: Callable[[ModelParams, Array, BatchSizes], SearchState]
    """`(params, any array of one row a device, sizes) -> state`; all rows are free."""
    encode: Callable[[ModelParams, Array], CrossKeyValues]
    """`(params, sources) -> keys and values`."""
    admit: Callable[
        [ModelParams, SearchState, NewSentences[Array], CrossKeyValues], SearchState
    ]
    """`(params, state, sentences, keys and values) -> state`; donates the state."""
    advance: Callable[
        [SearchWeights, SearchState, Array],
        tuple[SearchState, Array, Array, BeamResult],
    ]
    """`(weights, state, enough) -> state, done [rows], used slots [rows], results`;
    donates the state. Stops when `enough` rows of a device are done, or all slots of
    the cache of an unfinished row are used."""
    resize: Callable[[ModelParams, SearchState, Array, BatchSizes], SearchState]
    """`(params, state, kept rows, sizes) -> state`."""
    pack: Callable[[ModelParams, SearchState], tuple[SearchState, Array]] | None = None
    """`(params, state) -> state, used slots [rows]`; donates the state. Frees the slots
    of the cache that no hypothesis sees; None where all are seen."""
    packed_beam: int = 1
    """Hypotheses whose slots `pack` frees."""


def programs_of_settings(
    models: Sequence[ModelConfig],
    settings: DecodingConfig,
    mesh: Mesh,
    *,
    num_results: int,
    bos_id: int,
    eos_id: int,
    pad_id: int,
    grammar: BracketGrammar | None = None,
) -> SearchPrograms:
    """Returns the programs of a search as settings ask for it, on these devices.

    Args:
        models: one, or those of an ensemble.
        num_results: length of the n-best list.
        grammar: what outputs must be.
    """
    dtypes = [decoding_dtypes(model, settings, mesh) for model in models]
    return make_search_programs(
        tuple(
            dataclasses.replace(model, compute_dtype=dtype)
            for model, (_, dtype) in zip(models, dtypes, strict=True)
        ),
        tuple(weight_dtype for weight_dtype, _ in dtypes),
        Search(
            settings=settings.of_programs(),
            eos_id=eos_id,
            pad_id=pad_id,
            num_results=num_results,
            grammar=grammar,
        ),
        bos_id,
        mesh,
    )


@functools.lru_cache(maxsize=16)
def make_search_programs(
    models: tuple[ModelConfig, ...],
    weight_dtypes: tuple[str, ...],
    search: Search,
    bos_id: int,
    mesh: Mesh,
) -> SearchPrograms:
    """Returns the programs of a search with one model or an ensemble.

    Args:
        weight_dtypes: for each model, the dtype of products with its weights.
    """
    device = DeviceSearch(models, search, bos_id)
    own = functools.partial(on_own_rows, mesh=mesh)
    rows, read = own_rows(mesh), rows_to_read(mesh)

    @functools.partial(jax.jit, static_argnums=2, out_shardings=rows)
    def start(params: ModelParams, one: Array, sizes: BatchSizes) -> SearchState:
        run = own(functools.partial(device.start, sizes=sizes))
        state: SearchState = run(params, one)
        return state

    @functools.partial(jax.jit, static_argnums=3, out_shardings=rows)
    def resize(
        params: ModelParams, state: SearchState, kept: Array, sizes: BatchSizes
    ) -> SearchState:
        run = own(functools.partial(device.resize, sizes=sizes))
        resized: SearchState = run(params, state, kept)
        return resized

    jitted: dict[str, Callable[..., Any]] = {
        "start": start,
        "encode": jax.jit(own(device.encode), out_shardings=rows),
        "admit": jax.jit(own(device.admit), donate_argnums=1, out_shardings=rows),
        "advance": jax.jit(
            own(device.advance),
            donate_argnums=1,
            out_shardings=(rows, read, read, read),
        ),
        "resize": resize,
    }
    if device.can_pack:
        jitted["pack"] = jax.jit(
            own(device.pack), donate_argnums=1, out_shardings=(rows, read)
        )
    if search.grammar is None:  # Its tables are too large for a name.
        static = {"start": (2,), "resize": (3,)}
        jitted = {
            name: keep_whole(
                program, name, device, mesh, static_argnums=static.get(name, ())
            )
            for name, program in jitted.items()
        }
    packed_beam = search.settings.beam_size if device.can_pack else 1
    weights = make_weights_program(models, weight_dtypes, mesh)
    return SearchPrograms(weights=weights, **jitted, packed_beam=packed_beam)
