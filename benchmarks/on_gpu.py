"""Measures one GPU in stages; each stage writes its JSON whenever it has measured.

This process does not import JAX. Every run is a process of its own, which can fail, use
up the memory or be ended without harm to the others, and whose peak of memory is its
own.
"""

import argparse
import datetime
import json
import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_process import Measurement, Process, Run

ROOT = Path(__file__).resolve().parents[1]

# The largest relative difference of a loss that rounding explains. By default a GPU
# rounds the operands of float32 products to TF32, which has 10 bits after the point.
LIMITS = {"default": 1e-2, "highest": 1e-3}

_LEAST_SECONDS = 10
"""With less time left, a run is not started."""

# The same in all measurements of a stage, so only in its JSON.
_NOT_PRINTED = {
    "beam_size", "compile_cached", "compiles_while_measured", "data",
    "device", "measured", "moved_bytes", "multi30k", "num_devices", "num_sentences",
    "num_steps", "peak_memory_source", "peak_source", "peak_tflops_per_second", "tiny",
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """The command line."""

    device: str
    tiny: bool
    out: Path
    minutes: float
    multi30k: Path
    stages: list[str]


def rates(options: Options) -> list[Run]:
    """What the chip can do."""
    return [Run("gpu_rates", "rates", {"tiny": options.tiny})]


def updates(options: Options) -> list[Run]:
    """Updates of base and big, and attention alone."""
    kernels = ["xla", "cudnn"] if options.device == "gpu" else ["xla"]
    choices = [("none", 1), ("none", 6), ("cheap", 1), ("cheap", 6)]
    runs = [
        Run(
            "gpu_runs",
            "update",
            {
                "model": model,
                "attention_kernel": kernel,
                "remat": remat,
                "scan_unroll": unroll,
                "num_steps": 3 if options.tiny else 20,
            },
        )
        for remat, unroll in (choices[:1] if options.tiny else choices)
        for model in (["tiny"] if options.tiny else ["base", "big"])
        for kernel in kernels
    ]
    alone = [
        Run("gpu_rates", "attention", {"tiny": options.tiny, "kernel": kernel})
        for kernel in kernels
    ]
    # The most telling first: the time may not suffice for all.
    first = len(runs) if options.tiny else len(runs) // len(choices)
    return [*runs[:first], *alone, *runs[first:]]


def translation(options: Options) -> list[Run]:
    """Translation by base."""
    # Powers of 4 apart, as the sizes of a batch that shrinks: few programs to compile.
    batch_tokens = [256] if options.tiny else [32_768, 8_192, 2_048]
    return [
        Run(
            "gpu_runs",
            "translation",
            {
                "tiny": options.tiny,
                "compute_dtype": dtype,
                "batch_tokens": batch_tokens,
            },
        )
        for dtype in ("bfloat16", "float32")
    ]


def losses(options: Options) -> list[Run]:
    """The first updates of a training, on the device and on the CPU."""
    shared = {
        "tiny": options.tiny,
        "num_steps": 12 if options.tiny else 40,
        "multi30k": str(options.multi30k),
    }
    both, highest = {"precisions": ["default", "highest"]}, {"precisions": ["highest"]}
    return [
        Run("gpu_runs", "losses", shared | highest, is_reference=True),
        Run("gpu_runs", "losses", shared | both),
    ]


# Each stage, and its part of the time that is left: what one does not use, the next
# ones have.
STAGES: dict[str, tuple[Callable[[Options], list[Run]], int]] = {
    "rates": (rates, 45),
    "updates": (updates, 190),
    "translation": (translation, 160),
    "losses": (losses, 75),
}


def measure(
    stage: str, options: Options, found: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """Runs a stage, writing its JSON after each measurement; returns its contents."""
    started = time.monotonic()
    report: dict[str, Any] = {
        "stage": stage,
        "date": datetime.date.today().isoformat(),
        "command": shlex.join(["benchmarks/on_gpu.sh", *sys.argv[1:]]),
        "tiny": options.tiny,
        **found,
        "budget_seconds": round(seconds, 1),
        "seconds": 0.0,
        "measurements": [],
        "errors": [],
        "not_started": [],
    }

    def add(kind: str, measurement: Measurement) -> None:
        report[kind].append(measurement)
        report["seconds"] = round(time.monotonic() - started, 1)
        write(report, options.out / f"{stage}.json")
        print(f"{stage}: {short(measurement)}", flush=True)

    try:
        for run, measurement in _measurements(stage, options, started + seconds):
            if measurement is None:
                add("not_started", run.failure("the time of the stage was over"))
            else:
                add("errors" if "error" in measurement else "measurements", measurement)
        for comparison in compare_losses(report["measurements"]):
            add("measurements", comparison)
    except Exception:  # Whatever it is, the other stages go on.
        add("errors", {"measured": stage, "error": traceback.format_exc()})
    return report


def _measurements(
    stage: str, options: Options, until: float
) -> Iterator[tuple[Run, Measurement | None]]:
    """Yields what each run has measured; None if there was no time to start it."""
    runs = STAGES[stage][0](options)
    # On the CPU, beside what runs on the GPU.
    references = [
        (run, Process(run, options.device, until - time.monotonic()))
        for run in runs
        if run.is_reference
    ]
    others = [run for run in runs if not run.is_reference]
    for run in others:
        left = until - time.monotonic()
        if left < _LEAST_SECONDS:
            yield run, None
            continue
        # One that takes too long leaves half of the time to those after it.
        seconds = left if run is others[-1] else left / 2
        for measurement in Process(run, options.device, seconds).measurements():
            yield run, measurement
    for run, process in references:
        for measurement in process.measurements():
            yield run, measurement


def compare_losses(measurements: list[Measurement]) -> list[Measurement]:
    """Holds the losses of the device against those of the CPU."""
    runs = [each for each in measurements if "losses" in each]
    references = [each for each in runs if "reference" in each]
    comparisons = []
    for found in (each for each in runs if "reference" not in each and references):
        pairs = list(zip(found["losses"], references[0]["losses"], strict=True))
        differences = [abs(x - y) / abs(y) for x, y in pairs]
        limit = LIMITS[found["precision"]]
        comparisons.append(
            {
                "measured": "comparison of losses",
                "platform": found["platform"],
                "precision": found["precision"],
                "num_updates": len(pairs),
                "first_relative_difference": differences[0],
                "largest_relative_difference": max(differences),
                "limit": limit,
                # False too if a loss is not a number.
                "agree": all(difference <= limit for difference in differences),
            }
        )
    return comparisons


def find(options: Options) -> dict[str, Any]:
    """Returns hardware and versions, as a process that measures sees them."""
    *_, found = Process(Run("gpu_rates", "find"), options.device, 120).measurements()
    if "error" in found:
        sys.exit(f"found: no {options.device}: {found['error']}")
    return found


def write(report: dict[str, Any], path: Path) -> None:
    """Writes JSON; the file is whole at any time."""
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(report, indent=2) + "\n")
    beside.replace(path)


def short(values: dict[str, Any]) -> str:
    """Returns the names and numbers of a measurement on one line."""
    words = []
    for name, value in values.items():
        if isinstance(value, list) and all(isinstance(each, int) for each in value):
            value = "x".join(map(str, value))
        elif name == "error":
            value = value.strip().splitlines()[-1][:300]
        elif isinstance(value, float):
            value = f"{value:.4g}"
        if name not in _NOT_PRINTED and not isinstance(value, dict | list | None):
            words.append(f"{name}={value}")
    return " ".join([values.get("measured", ""), *words]).strip()


def parse() -> Options:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/on_gpu.sh", description="Measure one GPU; write JSON."
    )
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to try it")
    folder = os.environ.get("OUT") or ROOT / "benchmarks" / "results"
    parser.add_argument("--out", type=Path, default=folder, help="folder of the JSON")
    parser.add_argument("--minutes", type=float, default=8.0, help="at most, of all")
    parser.add_argument(
        "--multi30k",
        type=Path,
        default=ROOT.parent / "shared" / "data" / "multi30k",
        help="folder of train.en and train.de; without them sentences are made up",
    )
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=[*STAGES])
    options = Options(**vars(parser.parse_args()))
    if not options.minutes > 0:
        parser.error(f"--minutes {options.minutes} must be more than 0")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out {options.out} cannot be made: {error.strerror}")
    return options


def main() -> int:
    """Runs the stages; returns 0 if none has an error."""
    options = parse()
    # To end the last process and to write takes a moment.
    until = time.monotonic() + 60 * options.minutes - 5
    # So that the process that measures is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    found = find(options)
    versions = " ".join(f"{name} {v}" for name, v in found["versions"].items())
    print(f"found: {short(found['hardware'])}; {versions}", flush=True)
    num_errors = 0
    for place, stage in enumerate(options.stages):
        shares = [STAGES[each][1] for each in options.stages[place:]]
        seconds = (until - time.monotonic()) * shares[0] / sum(shares)
        path = options.out / f"{stage}.json"
        if path.exists():  # An earlier result stays, under the time it was written.
            path.replace(path.with_suffix(f".{path.stat().st_mtime_ns}.json"))
        num_errors += len(measure(stage, options, found, seconds)["errors"])
    print(f"{num_errors} errors; results are in {options.out}")
    return 1 if num_errors else 0


if __name__ == "__main__":
    sys.exit(main())
