"""What the devices run to translate: programs over a batch that sentences come and go.

Each device searches for its own rows and knows of no others. A batch begins empty;
`admit` puts sentences into free rows, `advance` goes on until enough rows are done for
the host to have something to do, `resize` changes the sizes of everything.
"""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import Mesh

from transformer_jax.config.model import ModelConfig
from transformer_jax.decoding.beam_search import advance, rank_hypotheses
from transformer_jax.decoding.history import History, visible_places
from transformer_jax.decoding.search_state import (
    BeamResult,
    Search,
    SearchState,
    empty_state,
)
from transformer_jax.devices import sharding
from transformer_jax.devices.own_rows import on_own_rows, own_rows
from transformer_jax.kernels.random_bits import MURMUR
from transformer_jax.model.cache import DecoderCache, KeyValue, empty_key_values
from transformer_jax.model.transformer import Transformer
from transformer_jax.translation.sizes import Sizes, resized


class Sentences(NamedTuple):
    """Sentences to put into rows of a batch, arrays `[number, ...]`."""

    rows: Any  # int32: the row on its device; one that does not exist for none
    source: Any  # int32 [number, width]
    segments: Any  # int32 [number, width]: 1, and 0 for padding
    limits: Any  # int32: most output tokens
    prefixes: Any  # int32 [number, prefix], filled up with -1
    seeds: Any  # uint32: what a sentence's random numbers follow from


@dataclass(frozen=True)
class Programs:
    """Compiled programs, for any sizes; `params` are those of each model."""

    start: Callable[..., SearchState]
    """`(params, anything of one row a device, sizes) -> state`, with all rows free."""
    encode: Callable[..., Any]
    """`(params, source, segments) -> keys and values of cross-attention`."""
    admit: Callable[..., SearchState]
    """`(params, state, sentences, encoded) -> state`; takes the state's memory."""
    advance: Callable[..., tuple[SearchState, Array, BeamResult]]
    """`(params, state, enough) -> state, done [rows], results`; takes the state's
    memory. Stops when `enough` rows of a device are done or a cache is full."""
    resize: Callable[..., SearchState]
    """`(params, state, kept rows, sizes) -> state`."""


@functools.lru_cache(maxsize=16)
def make_programs(
    models: tuple[ModelConfig, ...],
    weight_dtypes: tuple[str, ...],
    search: Search,
    bos_id: int,
    mesh: Mesh,
) -> Programs:
    """Returns the programs of a search with one model or an ensemble.

    Args:
        weight_dtypes: for each model, what products with its weights are computed in.
    """
    device = _Device(models, weight_dtypes, search, bos_id)
    own = functools.partial(on_own_rows, mesh=mesh)
    rows, whole = own_rows(mesh), sharding.replicated(mesh)

    @functools.partial(jax.jit, static_argnums=2, out_shardings=rows)
    def start(params: Any, one: Array, sizes: Sizes) -> SearchState:
        return own(functools.partial(device.start, sizes=sizes))(params, one)

    @functools.partial(jax.jit, static_argnums=3, out_shardings=rows)
    def resize(params: Any, state: Any, kept: Array, sizes: Sizes) -> SearchState:
        return own(functools.partial(device.resize, sizes=sizes))(params, state, kept)

    return Programs(
        start=start,
        encode=jax.jit(own(device.encode), out_shardings=rows),
        admit=jax.jit(own(device.admit), donate_argnums=1, out_shardings=rows),
        advance=jax.jit(
            own(device.advance), donate_argnums=1, out_shardings=(rows, whole, whole)
        ),
        resize=resize,
    )


@dataclass(frozen=True)
class _Device:
    """What each device does with its rows."""

    models: tuple[ModelConfig, ...]
    weight_dtypes: tuple[str, ...]
    search: Search
    bos_id: int

    def start(self, params: Any, one: Array, sizes: Sizes) -> SearchState:
        del params, one
        settings = self.search.settings
        segments = jnp.zeros((sizes.rows, sizes.width), jnp.int32)
        caches = tuple(
            DecoderCache(
                self_attention=empty_key_values(
                    config, sizes.rows, sizes.slots * settings.beam_size
                ),
                cross_attention=empty_key_values(config, sizes.rows, sizes.width),
                source_segments=segments,
            )
            for config in self.models
        )
        nothing = Sentences(
            rows=jnp.arange(sizes.rows),
            source=segments,
            segments=segments,
            limits=jnp.zeros((sizes.rows,), jnp.int32),
            prefixes=jnp.full((sizes.rows, sizes.prefix), -1, jnp.int32),
            seeds=jnp.zeros((sizes.rows,), jnp.uint32),
        )
        return self._fresh(nothing, sizes.slots, sizes.max_length)._replace(
            cache=caches
        )

    def _fresh(self, new: Sentences, slots: int, max_length: int) -> SearchState:
        """Returns the state of sentences of which nothing is read; without a cache."""
        settings = self.search.settings
        rng = None
        if settings.sampling:
            key = jax.random.key(0, impl=MURMUR)
            rng = jax.vmap(functools.partial(jax.random.fold_in, key))(new.seeds)
        return empty_state(
            None,
            jnp.full(new.limits.shape, self.bos_id, jnp.int32),
            new.limits,
            settings,
            self.search.pad_id,
            slots=slots,
            max_length=max_length,
            prefixes=new.prefixes if new.prefixes.shape[1] else None,
            coverage=(
                jnp.where(new.segments == 0, 1.0, 0.0)
                if settings.coverage_penalty
                else None
            ),
            rng=rng,
        )

    def encode(
        self, params: Any, source: Array, segments: Array
    ) -> tuple[tuple[KeyValue, ...], ...]:
        memories: list[Any] = []
        for config, own_params in zip(self.models, params, strict=True):
            model = functools.partial(Transformer(config).apply, {"params": own_params})
            memory: Any = model(
                source, segments=segments, deterministic=True, method="encode"
            )
            memories.append(model(memory, method="project_memory"))
        return tuple(memories)

    def admit(
        self, params: Any, state: SearchState, new: Sentences, memory: Any
    ) -> SearchState:
        del params
        slots = state.history.ancestors.shape[-1]
        max_length = state.live.sequences.shape[-1]
        fresh = self._fresh(new, slots, max_length)
        slot = jnp.full(new.limits.shape, state.history.slot[0])
        fresh = fresh._replace(history=fresh.history._replace(slot=slot))

        def put(old: Array, part: Array) -> Array:
            return old.at[new.rows].set(part, mode="drop")

        admitted = jax.tree.map(put, state._replace(cache=None), fresh)
        # What the rows' former sentences wrote stays, out of sight.
        caches = tuple(
            dataclasses.replace(
                cache,
                cross_attention=jax.tree.map(put, cache.cross_attention, key_values),
                source_segments=put(cache.source_segments, new.segments),
            )
            for cache, key_values in zip(state.cache, memory, strict=True)
        )
        return admitted._replace(cache=caches)

    def advance(
        self, params: Any, state: SearchState, enough: Array
    ) -> tuple[SearchState, Array, BeamResult]:
        slots = state.history.ancestors.shape[-1]

        def goes_on(state: SearchState) -> Array:
            is_full = jnp.any(~state.done & (state.positions >= slots))
            return (jnp.sum(state.done) < enough[0]) & ~is_full

        weights = tuple(
            Transformer(config).apply({"params": own}, dtype, method="step_weights")
            for config, dtype, own in zip(
                self.models, self.weight_dtypes, params, strict=True
            )
        )
        step = functools.partial(self._step, params, weights)
        final = lax.while_loop(
            goes_on, lambda state: advance(state, step, self.search), state
        )
        return final, final.done, rank_hypotheses(final, self.search)

    def _step(
        self,
        params: Any,
        weights: Any,
        tokens: Array,
        positions: Array,
        history: History,
        caches: tuple[DecoderCache, ...],
    ) -> tuple[Array, tuple[DecoderCache, ...], Array | None]:
        stepped = []
        for config, own, own_weights, cache in zip(
            self.models, params, weights, caches, strict=True
        ):
            stepped.append(
                Transformer(config).apply(
                    {"params": own},
                    own_weights,
                    tokens,
                    cache,
                    positions,
                    history.slot[0],
                    visible_places(history, config.attention_window),
                    method="decode_step",
                )
            )
        logits, new_caches, attention = zip(*stepped, strict=True)
        covers = self.search.settings.coverage_penalty > 0
        return (
            mean_of_probabilities(logits),
            new_caches,
            sum(attention) / len(attention) if covers else None,
        )

    def resize(
        self, params: Any, state: SearchState, kept: Array, sizes: Sizes
    ) -> SearchState:
        del params
        return resized(state, kept, sizes, self.search)


def mean_of_probabilities(logits: tuple[Array, ...]) -> Array:
    """Returns logits whose softmax is the mean of the softmax of each."""
    if len(logits) == 1:
        return logits[0]
    stacked = jnp.stack([jax.nn.log_softmax(each) for each in logits])
    return jax.nn.logsumexp(stacked, axis=0)
