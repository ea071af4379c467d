"""Compiled programs of continuous batching.

Each device searches its own rows independently of the others. `start` makes a batch of
free rows, `search` admits sentences from a queue into free rows and decodes, `pack`
frees slots of the cache, `resize` changes the array sizes of the batch.
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
from transformer_jax.decoding.search_state import Search, SearchState
from transformer_jax.devices.defaults import decoding_dtypes
from transformer_jax.devices.own_rows import on_own_rows, own_rows, rows_to_read
from transformer_jax.devices.stored_programs import keep_whole
from transformer_jax.translation.batch_sizes import BatchSizes
from transformer_jax.translation.device_rounds import Found, search_queue
from transformer_jax.translation.device_search import DeviceSearch, NewSentences
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
    search: Callable[
        [SearchWeights, SearchState, Array, NewSentences[Array], Array],
        tuple[SearchState, Found],
    ]
    """`(weights, state, occupants [rows], queue, limits [devices, 3]) -> state, found`,
    see `search_queue`; donates the state."""
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
        "search": jax.jit(
            own(functools.partial(search_queue, device)),
            donate_argnums=1,
            out_shardings=(rows, read),
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
