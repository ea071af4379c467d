"""The cost of a step of search on TPUs that are not attached."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.cost.hlo.cost import ProgramCost, step_cost
from transformer_jax.cost.program_plan import (
    ProgramPlan,
    compile_program,
    find_topology,
    plan_fields,
)
from transformer_jax.cost.schedule import step_schedule
from transformer_jax.devices import sharding
from transformer_jax.devices.capacity import search_batch_tokens
from transformer_jax.devices.defaults import cache_tile, decoding_dtypes
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.devices.own_rows import own_rows
from transformer_jax.errors import InputError
from transformer_jax.training.state import abstract_state
from transformer_jax.translation.batch_sizer import BatchSizer
from transformer_jax.translation.batch_sizes import BatchSizes
from transformer_jax.translation.device_rounds import argument_shapes
from transformer_jax.translation.position_limit import position_limit
from transformer_jax.translation.search_programs import programs_of_settings

# As the tokenizers trained here have them; no cost depends on it.
_PAD, _BOS, _EOS = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class SearchPlan(ProgramPlan):
    """The cost of a step of search, the next token of every hypothesis, for each chip.

    Memory is that of the whole program, which also admits sentences.
    """

    sentences: int
    """On each device."""
    beam_size: int
    source_tokens: int
    """Of a sentence, padding included."""
    slots: int
    """Steps that the cache of self-attention holds."""
    weight_bytes: int
    """Parameters of the decoder and of the projection to logits, as a step reads
    them."""
    cache_bytes: int
    """Keys and values of self-attention and cross-attention."""
    least_bytes: int
    """A step that reads weights and caches once moves so many bytes."""
    bytes_over_least: float
    """`main_memory_bytes` over `least_bytes`; less than 1 where caches are so small
    that they stay on the chip."""
    main_memory_bytes_of_call: int
    """What the program moves besides, once for all the steps of a call; without what it
    moves to admit sentences."""
    output_tokens_per_second_at_most: float
    """All chips together, if every sentence takes a token of each step."""


def plan_search(
    config: ExperimentConfig, topology: str, sentences: int, *, num_slices: int = 1
) -> tuple[SearchPlan, ProgramCost]:
    """Returns the cost of a step of search on a topology, in total and by instruction.

    It compiles the program that translation runs with the settings `config.decoding`,
    for sentences as long as `decoding.batch_tokens` allows so many of, but no longer
    than it translates whole; nothing is run, and no TPU is needed.

    Args:
        topology: TPU version and chips along each dimension of a slice, as `v5e:1x1`.
        sentences: on each device.
        num_slices: slices joined by the data-centre network.

    Raises:
        InputError: no such topology, more sentences than `decoding.batch_tokens`
            allows, or a search that needs more memory than a chip has.
    """
    found = find_topology(topology, num_slices)
    mesh = make_mesh(config.mesh, found.devices)
    programs = programs_of_settings(
        [config.model], config.decoding, mesh,
        num_results=1, bos_id=_BOS, eos_id=_EOS, pad_id=_PAD,
    )  # fmt: skip
    sizes = _sizes_of(config, sentences, mesh, programs.packed_beam)
    whole, rows = sharding.replicated_sharding(mesh), own_rows(mesh)
    params = _with_sharding(abstract_state(config, mesh).params, whole)
    one = jax.ShapeDtypeStruct((mesh.size,), jnp.int32, sharding=rows)
    start: Any = programs.start
    state = _with_sharding(start.eval_shape((params,), one, sizes), rows)
    weights = _with_sharding(jax.eval_shape(programs.weights, (params,)), whole)
    search: Any = programs.search
    arguments = _with_sharding(argument_shapes(sizes, mesh.size), rows)
    compiled = compile_program(
        lambda: search.lower(weights, state, *arguments),
        "a search",
        found,
        "lower decoding.batch_tokens, and the number of sentences with it",
    )
    outside, step = step_cost(compiled.text)
    dtype, _ = decoding_dtypes(config.model, config.decoding, mesh)
    fields = plan_fields(compiled, step, step_schedule, found, mesh, dtype)
    share = found.chip.devices_per_chip
    cache_bytes = share * _num_bytes(state.cache) // mesh.size
    weight_bytes = share * _num_bytes(weights.steps)
    seconds = fields["roofline_seconds"][fields["bound_by"]]
    planned = SearchPlan(
        **fields,
        sentences=sentences,
        beam_size=config.decoding.beam_size,
        source_tokens=sizes.width,
        slots=sizes.slots,
        weight_bytes=weight_bytes,
        cache_bytes=cache_bytes,
        least_bytes=weight_bytes + cache_bytes,
        bytes_over_least=fields["main_memory_bytes"] / (weight_bytes + cache_bytes),
        main_memory_bytes_of_call=share * outside.main_memory_bytes,
        output_tokens_per_second_at_most=mesh.size * sentences / seconds,
    )
    return planned, step


def _sizes_of(
    config: ExperimentConfig, sentences: int, mesh: jax.sharding.Mesh, packed_beam: int
) -> BatchSizes:
    """Returns the array sizes of a batch of so many sentences on a device."""
    if sentences < 1:
        raise InputError(f"sentences={sentences} must be at least 1.")
    tokens = search_batch_tokens(config.decoding, config.model, mesh)
    sizer = BatchSizer(
        tokens,
        config.decoding.max_extra_length,
        position_limit([config.model]),
        packed_beam,
        cache_tile(mesh),
    )
    longest = config.decoding.max_source_tokens or config.data.source_length
    length = 1 << (max(1, tokens // sentences).bit_length() - 1)
    length = min(length, longest)
    sizes = sizer.sizes(length, sentences, 0)
    if sizes.rows < sentences:
        raise InputError(
            f"sentences={sentences} of {sizes.width} tokens do not fit "
            f"decoding.batch_tokens={tokens}: raise it, or take at most {sizes.rows}."
        )
    return sizes


def _with_sharding(tree: PyTree, layout: jax.sharding.Sharding) -> PyTree:
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=layout), tree
    )


def _num_bytes(tree: PyTree) -> int:
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))
