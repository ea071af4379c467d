"""The cost of an update on this machine, data and optimizer included."""

import functools
import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.cost.limits import matmul_rate, peak_flops, peak_memory
from transformer_jax.cost.model_flops import training_flops
from transformer_jax.data.batch import Batch
from transformer_jax.data.corpus import Corpus
from transformer_jax.data.made_up import made_up_corpus
from transformer_jax.data.pipeline import make_batches, pack_corpus
from transformer_jax.devices import sharding
from transformer_jax.devices.compilations import CompileCounter
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.errors import InputError
from transformer_jax.storage.work_directory import create_directory, work_directory
from transformer_jax.training.preparation import prepare
from transformer_jax.training.start import check_fits
from transformer_jax.training.state import TrainState, init_state
from transformer_jax.training.step import make_train_step

_CACHE_HIT = "/jax/compilation_cache/cache_hits"
_PROFILED_STEPS = 5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult:
    """The measurements; rates are per second, for all devices together."""

    device: str
    num_devices: int
    mesh: dict[str, int]
    compute_dtype: str
    data: str
    """The text: that of the settings, or made up."""
    num_steps: int
    """Updates measured."""
    compile_seconds: float
    """Tracing and compiling the step."""
    compile_cached: bool
    """The compiled step was read from disk."""
    step_seconds: float
    """The median over the updates."""
    source_tokens_per_second: float
    """Real tokens by the whole time measured; padding does not count."""
    target_tokens_per_second: float
    fill: float
    """Part of the positions, both sides together, that holds real tokens."""
    tflops_per_second: float
    """By the model's formula, for real tokens; over the whole time."""
    peak_tflops_per_second: float | None
    peak_source: str
    """Source of the peak: a data sheet, or matrix products timed here."""
    fraction_of_peak: float | None
    peak_memory_bytes: int
    """Largest memory of one device, or of this process."""
    peak_memory_source: str
    temporary_bytes: int
    """Of the compiled step on each device, by the compiler."""
    compiles_while_measured: int
    """If not 0, the numbers include the time of compilations."""


@dataclass(frozen=True)
class _Measured:
    """Seconds of each of some updates, and the sums of their metrics."""

    seconds: list[float]
    sums: dict[str, float]


def benchmark(
    config: ExperimentConfig,
    workdir: str | os.PathLike[str] | None = None,
    *,
    num_steps: int = 30,
    warmup_steps: int = 3,
    profile_dir: str | os.PathLike[str] | None = None,
) -> BenchmarkResult:
    """Measures updates on this machine, run as `train` runs them.

    Batches are made ahead and transferred, each step is dispatched before the one
    before has ended, and the metrics of every step are fetched.

    Args:
        workdir: directory in which the data of the settings is prepared; None =
            sentences of random tokens.
        num_steps: updates to measure.
        warmup_steps: updates before them.
        profile_dir: gets a trace of a few more updates, for TensorBoard or Perfetto.

    Raises:
        InputError: an argument, the data or the mesh is refused.
    """
    if num_steps < 1:
        raise InputError(f"num_steps={num_steps} must be at least 1.")
    if warmup_steps < 0:
        raise InputError(f"warmup_steps={warmup_steps} must be at least 0.")
    mesh = make_mesh(config.mesh)
    check_fits(config, mesh)
    if profile_dir is not None:
        create_directory(work_directory(profile_dir), "profile_dir")
    corpus, name = _corpus(config, workdir)
    batches = make_batches(
        corpus,
        pack_corpus(corpus, config.data, seed=config.training.seed),
        config.data,
        seed=config.training.seed,
        rows_of_host=functools.partial(sharding.rows_of_host, mesh=mesh),
    )
    return measure_updates(
        config, mesh, batches, name, num_steps, warmup_steps, profile_dir
    )


def measure_updates(
    config: ExperimentConfig,
    mesh: Mesh,
    batches: Iterator[Batch],
    name: str,
    num_steps: int = 30,
    warmup_steps: int = 3,
    profile_dir: str | os.PathLike[str] | None = None,
) -> BenchmarkResult:
    """Measures updates with these batches; otherwise as `benchmark`.

    Args:
        batches: this host's rows of a global batch for each update and one more, in
            the shape of `config.data`.
        name: of the text.
    """
    logger.info("compiling the update")
    state = init_state(config, mesh)
    compiled, compile_seconds, is_cached = _compile_step(config, mesh, state, batches)
    rates = [matmul_rate(config.model, mesh)]
    state, _ = _run(compiled, state, batches, mesh, max(1, warmup_steps))
    logger.info("measuring %d updates", num_steps)
    counter = CompileCounter()
    state, measured = _run(compiled, state, batches, mesh, num_steps)
    counter.close()
    rates.append(matmul_rate(config.model, mesh))
    if profile_dir is not None:
        with jax.profiler.trace(Path(profile_dir), create_perfetto_trace=True):
            state, _ = _run(compiled, state, batches, mesh, _PROFILED_STEPS)
    sums, seconds = measured.sums, sum(measured.seconds)
    tokens = sums["source_tokens"], sums["target_tokens"]
    flops = training_flops(config.model, *map(int, tokens)) / seconds
    peak, peak_source = peak_flops(config.model, mesh, max(rates))
    memory, memory_source = peak_memory()
    return BenchmarkResult(
        device=mesh.devices.flat[0].device_kind,
        num_devices=mesh.size,
        mesh=dict(mesh.shape),
        compute_dtype=config.model.compute_dtype,
        data=name,
        num_steps=num_steps,
        compile_seconds=compile_seconds,
        compile_cached=is_cached,
        step_seconds=statistics.median(measured.seconds),
        source_tokens_per_second=tokens[0] / seconds,
        target_tokens_per_second=tokens[1] / seconds,
        fill=sum(tokens) / (sums["source_slots"] + sums["target_slots"]),
        tflops_per_second=flops / 1e12,
        peak_tflops_per_second=None if peak is None else peak / 1e12,
        peak_source=peak_source,
        fraction_of_peak=None if peak is None else flops / peak,
        peak_memory_bytes=memory,
        peak_memory_source=memory_source,
        temporary_bytes=compiled.memory_analysis().temp_size_in_bytes,
        compiles_while_measured=counter.count,
    )


def _compile_step(
    config: ExperimentConfig, mesh: Mesh, state: TrainState, batches: Iterator[Batch]
) -> tuple[Any, float, bool]:
    """Returns the compiled step, the seconds it took, and whether it came from disk."""
    hits: list[str] = []

    def listen(event: str, **_: Any) -> None:
        if event == _CACHE_HIT:
            hits.append(event)

    step: Any = make_train_step(config, mesh)
    batch = sharding.make_global(next(batches), mesh)
    jax.monitoring.register_event_listener(listen)
    started = time.perf_counter()
    compiled = step.lower(state, batch).compile()
    seconds = time.perf_counter() - started
    jax.monitoring.unregister_event_listener(listen)
    return compiled, seconds, bool(hits)


def _run(
    step: Callable[..., Any],
    state: TrainState,
    batches: Iterator[Batch],
    mesh: Mesh,
    num_steps: int,
) -> tuple[TrainState, _Measured]:
    """Runs updates as the training loop does; one ends when its report arrives."""
    ended = [time.perf_counter()]
    reports = []

    def fetch(report: Any) -> None:
        reports.append(jax.device_get(report))
        ended.append(time.perf_counter())

    pending = None
    for _ in range(num_steps):
        state, report = step(state, sharding.make_global(next(batches), mesh))
        if pending is not None:
            fetch(pending)
        pending = report
    fetch(pending)
    sums = {
        name: float(sum(report[name] for report in reports))
        for name in ("source_tokens", "target_tokens", "source_slots", "target_slots")
    }
    return state, _Measured(np.diff(ended).tolist(), sums)


def _corpus(
    config: ExperimentConfig, workdir: str | os.PathLike[str] | None
) -> tuple[Corpus, str]:
    if workdir is None:
        return made_up_corpus(config.model, config.data), "made up"
    data = prepare(config, workdir)
    names = config.data.files("train")[0] or config.data.corpus_names
    return data.train, config.data.dataset or ", ".join(names) or "given"
