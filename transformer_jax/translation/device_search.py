"""What each device computes in continuous batching, on its own rows.

`search_programs` compiles these functions.
"""

import functools
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from transformer_jax.config.model import ModelConfig
from transformer_jax.decoding.beam_search import advance
from transformer_jax.decoding.bracket_grammar import no_brackets
from transformer_jax.decoding.history import History
from transformer_jax.decoding.search_state import (
    Search,
    SearchState,
    empty_state,
)
from transformer_jax.kernels.random_bits import MURMUR
from transformer_jax.model.cache import DecoderCache, KeyValue, empty_key_values
from transformer_jax.model.transformer import Transformer
from transformer_jax.translation.batch_sizes import (
    BatchSizes,
    pack_state,
    resize_state,
)
from transformer_jax.translation.search_weights import ModelParams, SearchWeights

CrossKeyValues: TypeAlias = tuple[tuple[KeyValue, ...], ...]
"""Keys and values of cross-attention, for each model and decoder layer."""

HostOrDevice = TypeVar("HostOrDevice", np.ndarray, Array, jax.ShapeDtypeStruct)


class NewSentences(NamedTuple, Generic[HostOrDevice]):
    """Sentences that wait for rows of a batch: two arrays, so two transfers."""

    sources: HostOrDevice
    """int32 `[number, 1 + width]`: the length of each source, then its token ids."""
    fields: HostOrDevice
    """int32 `[number, 3 + prefix]`: the most output tokens, the seed of the random
    numbers, the leaves of the tree of a grammar; then the prefix, padded with -1."""


@dataclass(frozen=True)
class DeviceSearch:
    """The programs as one device runs them on its rows."""

    models: tuple[ModelConfig, ...]
    search: Search
    bos_id: int

    @property
    def can_pack(self) -> bool:
        """Whether places of a cache die, and their order in it has no meaning."""
        settings = self.search.settings
        branches = settings.beam_size > 1 and not settings.sampling
        return branches and all(model.attention_window is None for model in self.models)

    def start(self, params: ModelParams, one: Array, sizes: BatchSizes) -> SearchState:
        del params, one
        settings = self.search.settings
        caches = tuple(
            DecoderCache(
                self_attention=empty_key_values(
                    config, sizes.rows, sizes.slots * settings.beam_size
                ),
                cross_attention=empty_key_values(config, sizes.rows, sizes.width),
                source_segments=jnp.zeros((sizes.rows, sizes.width), jnp.int32),
            )
            for config in self.models
        )
        nothing = NewSentences(
            sources=jnp.zeros((sizes.rows, 1 + sizes.width), jnp.int32),
            fields=jnp.zeros((sizes.rows, 3 + sizes.prefix), jnp.int32),
        )
        return self._new_state(nothing, sizes.slots, sizes.max_length)._replace(
            cache=caches
        )

    def _new_state(
        self, new: NewSentences[Array], slots: int, max_length: int
    ) -> SearchState:
        """Returns the state of sentences at position 0; its cache is None."""
        settings = self.search.settings
        limits, seeds, num_leaves = (new.fields[:, i] for i in (0, 1, 2))
        limits = jnp.minimum(limits, max_length)
        rng = None
        if settings.sampling:
            key = jax.random.key(0, impl=MURMUR)
            rng = jax.vmap(functools.partial(jax.random.fold_in, key))(
                lax.bitcast_convert_type(seeds, jnp.uint32)
            )
        grammar, brackets = self.search.grammar, None
        if grammar is not None:
            brackets = no_brackets(grammar, num_leaves, settings.beam_size)
        return empty_state(
            None,
            jnp.full(limits.shape, self.bos_id, jnp.int32),
            limits,
            settings,
            self.search.pad_id,
            slots=slots,
            max_length=max_length,
            prefixes=new.fields[:, 3:] if new.fields.shape[1] > 3 else None,
            coverage=(
                jnp.where(_segments(new.sources) == 0, 1.0, 0.0)
                if settings.coverage_penalty
                else None
            ),
            rng=rng,
            brackets=brackets,
        )

    def _encode(self, params: ModelParams, sources: Array) -> CrossKeyValues:
        key_values: list[tuple[KeyValue, ...]] = []
        for config, own_params in zip(self.models, params, strict=True):
            model = functools.partial(Transformer(config).apply, {"params": own_params})
            memory: Any = model(
                sources[:, 1:],
                segments=_segments(sources),
                deterministic=True,
                method="encode",
            )
            projected: Any = model(memory, method="project_memory")
            key_values.append(projected)
        return tuple(key_values)

    def admit(
        self,
        params: ModelParams,
        state: SearchState,
        rows: Array,
        new: NewSentences[Array],
    ) -> SearchState:
        """Returns the state with new sentences in `rows`; too large = no row."""
        encoded = self._encode(params, new.sources)
        slots = state.history.slots
        max_length = state.live.sequences.shape[-1]
        fresh = self._new_state(new, slots, max_length)
        slot = jnp.full(rows.shape, state.history.slot[0])
        fresh = fresh._replace(history=fresh.history._replace(slot=slot))

        def put(old: Array, part: Array) -> Array:
            return old.at[rows].set(part, mode="drop")

        admitted: SearchState = jax.tree.map(put, state._replace(cache=None), fresh)
        # The self-attention cache keeps what former sentences wrote; it is masked.
        caches = tuple(
            cache._replace(
                cross_attention=jax.tree.map(put, cache.cross_attention, key_values),
                source_segments=put(cache.source_segments, _segments(new.sources)),
            )
            for cache, key_values in zip(state.cache, encoded, strict=True)
        )
        return admitted._replace(cache=caches)

    def decode(
        self, weights: SearchWeights, state: SearchState, enough: Array, most: Array
    ) -> tuple[SearchState, Array]:
        """Decodes until `enough` rows are done, or a cache is full.

        Args:
            most: most steps.

        Returns:
            The state, and the number of steps.
        """

        def is_unfinished(carry: tuple[SearchState, Array]) -> Array:
            state, number = carry
            is_full = jnp.any(used_slots(state) >= state.history.slots)
            return (jnp.sum(state.done) < enough) & ~is_full & (number < most)

        def one_step(carry: tuple[SearchState, Array]) -> tuple[SearchState, Array]:
            state, number = carry
            return advance(state, step, self.search), number + 1

        step = functools.partial(self._step, weights)
        with jax.named_scope("steps"):  # So that their cost is found.
            return lax.while_loop(is_unfinished, one_step, (state, jnp.int32(0)))

    def _step(
        self,
        weights: SearchWeights,
        tokens: Array,
        positions: Array,
        history: History,
        caches: tuple[DecoderCache, ...],
    ) -> tuple[Array, tuple[DecoderCache, ...], Array | None]:
        stepped = []
        for config, own, own_weights, cache in zip(
            self.models, *weights, caches, strict=True
        ):
            stepped.append(
                Transformer(config).apply(
                    {"params": own},
                    own_weights,
                    tokens,
                    cache,
                    positions,
                    history.slot[0],
                    history.visible_places(config.attention_window),
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
        self, params: ModelParams, state: SearchState, kept: Array, sizes: BatchSizes
    ) -> SearchState:
        del params
        return resize_state(state, kept, sizes, self.search)

    def pack(
        self, params: ModelParams, state: SearchState
    ) -> tuple[SearchState, Array]:
        del params
        packed = pack_state(state)
        return packed, used_slots(packed)


def used_slots(state: SearchState) -> Array:
    """Returns the slots of the cache that each unfinished sentence uses."""
    return jnp.where(state.done, 0, state.history.used)


def _segments(sources: Array) -> Array:
    """Returns 1 where there is a token, 0 in padding; `NewSentences.sources`."""
    place = jnp.arange(sources.shape[1] - 1)
    return (place[None] < sources[:, :1]).astype(jnp.int32)


def mean_of_probabilities(logits: tuple[Array, ...]) -> Array:
    """Returns logits whose softmax is the mean of the models' probabilities."""
    if len(logits) == 1:
        return logits[0]
    stacked = jnp.stack([jax.nn.log_softmax(each) for each in logits])
    return jax.nn.logsumexp(stacked, axis=0)
