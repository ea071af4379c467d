"""Measures one GPU in stages; each stage writes its JSON whenever it has measured.

The same command goes on where the time was over, or it was interrupted. This process
does not import JAX. Every run is a process of its own, which can fail, use up the
memory or be ended without harm to the others, and whose peak of memory is its own.
"""

import argparse
import datetime
import fcntl
import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from gpu_process import Measurement, Process, Run
from gpu_report import ROOT, Report, last_line, short, source_digest
from gpu_stages import STAGES, Options

# The largest relative difference of a loss that rounding explains. By default a GPU
# rounds the operands of float32 products to TF32, which has 10 bits after the point.
LIMITS = {"default": 1e-2, "highest": 1e-3}

_LEAST_SECONDS = 10
"""With less time left, a run is not started."""
_NO_TIME = "the time of the stage was over"
_MULTI30K = ROOT.parent / "shared" / "data" / "multi30k"


def measure(report: Report, options: Options, seconds: float) -> None:
    """Runs what a report of a stage has not, adding each measurement to it."""
    started = time.monotonic()
    report.values["budget_seconds"] = round(seconds, 1)
    runs = STAGES[report.stage][0](options)
    missing = [place for place in range(len(runs)) if not report.has(place)]
    if len(missing) < len(runs):
        before = f"{len(runs) - len(missing)} of {len(runs)} runs"
        print(f"{report.stage}: {before} were measured before", flush=True)

    def add(kind: str, measurement: Measurement) -> None:
        report.add(kind, measurement, time.monotonic() - started)

    try:
        measured = _measurements(runs, missing, options.device, started + seconds)
        for place, measurement in measured:
            if measurement is None:
                report.finish(place)
            elif "error" in measurement:
                late = measurement["error"] == _NO_TIME
                add("not_started" if late else "errors", measurement)
            else:
                add("measurements", measurement | {"run": place})
        for comparison in compare_losses(report.values["measurements"]):
            add("measurements", comparison)
    except Exception:  # Whatever it is, the other stages go on.
        add("errors", {"measured": report.stage, "error": traceback.format_exc()})


def _measurements(
    runs: list[Run], missing: list[int], device: str, until: float
) -> Iterator[tuple[int, Measurement | None]]:
    """Yields what each missing run measures, and None when it has measured all."""
    # On the CPU, beside what runs on the GPU.
    references = {
        place: Process(runs[place], device, until - time.monotonic())
        for place in missing
        if runs[place].is_reference
    }
    others = [place for place in missing if place not in references]
    try:
        for place in others:
            left = until - time.monotonic()
            if left < _LEAST_SECONDS:
                yield place, runs[place].failure(_NO_TIME)
                continue
            # One that takes too long leaves half of the time to those after it.
            seconds = left if place == others[-1] else left / 2
            yield from _of_one(place, Process(runs[place], device, seconds))
        for place, process in references.items():
            yield from _of_one(place, process)
    finally:
        for process in references.values():
            process.end()


def _of_one(place: int, process: Process) -> Iterator[tuple[int, Measurement | None]]:
    has_failed = False
    for measurement in process.measurements():
        has_failed |= "error" in measurement
        yield place, measurement
    if not has_failed:
        yield place, None


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
        error = last_line(found["error"])
        hint = "; PYTHON names another Python" if "No module named" in error else ""
        sys.exit(f"found: no {options.device}: {error} ({sys.executable}{hint})")
    return found


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
        help="folder of train.en and train.de; without them sentences are made up",
    )
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=[*STAGES])
    parser.add_argument(
        "--again",
        action="store_true",
        help="measure everything anew; earlier files stay under another name",
    )
    given = vars(parser.parse_args())
    folder = given["multi30k"]
    given["stages"] = list(dict.fromkeys(given["stages"]))
    options = Options(**given | {"multi30k": folder or _MULTI30K})
    if not options.minutes > 0:
        parser.error(f"--minutes {options.minutes} must be more than 0")
    for name in () if folder is None else ("train.en", "train.de"):
        if not (folder / name).is_file():
            parser.error(f"--multi30k {folder} has no {name}")
    for stage in options.stages:
        if (options.out / f"{stage}.json").is_dir():
            parser.error(f"--out {options.out} has a directory named {stage}.json")
    return options


def lock(folder: Path) -> IO[str]:
    """Returns a file of a folder that one process at a time holds open."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = (folder / "lock").open("w")
    except OSError as error:
        _refuse(f"--out {folder} cannot be written: {error.strerror}")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        _refuse(f"another process is measuring into --out {folder}")
    return held


def _refuse(reason: str) -> NoReturn:
    print(f"on_gpu.sh: error: {reason}", file=sys.stderr)
    sys.exit(2)


def main() -> int:
    """Runs the stages; returns 0 if each has measured something, without an error."""
    options = parse()
    held = lock(options.out)
    # To end the last process and to write takes a moment.
    until = time.monotonic() + 60 * options.minutes - 5
    # So that the process that measures is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with held:
            return measure_all(options, until)
    except (KeyboardInterrupt, SystemExit) as ended:
        code = 130 if isinstance(ended, KeyboardInterrupt) else ended.code
        if code in (130, 143):
            print("interrupted: the same command goes on", file=sys.stderr)
            return int(code)
        raise


def begin(stage: str, options: Options, found: dict[str, Any]) -> Report:
    """Returns the report of a stage, with what an earlier call has measured."""
    header = {
        "stage": stage,
        "date": datetime.date.today().isoformat(),
        "command": shlex.join(["benchmarks/on_gpu.sh", *sys.argv[1:]]),
        "tiny": options.tiny,
        "multi30k": str(options.multi30k),
        "source": source_digest(),
        **found,
    }
    return Report(options.out / f"{stage}.json", header, options.again)


def measure_all(options: Options, until: float) -> int:
    """Runs the stages until a time of `time.monotonic`; returns the exit status."""
    found = find(options)
    versions = " ".join(f"{name} {v}" for name, v in found["versions"].items())
    print(f"found: {short(found['hardware'])}; {versions}", flush=True)
    reports = [begin(stage, options, found) for stage in options.stages]
    waiting = {
        report.stage: STAGES[report.stage][1]
        for report in reports
        if not all(map(report.has, range(len(STAGES[report.stage][0](options)))))
    }
    for report in reports:
        share = waiting.pop(report.stage, 0)
        whole = share + sum(waiting.values())
        measure(report, options, (until - time.monotonic()) * share / max(1, whole))
    num_errors = sum(len(report.values["errors"]) for report in reports)
    num_left = sum(len(report.values["not_started"]) for report in reports)
    left = f", {num_left} runs not started (the same command goes on)" * bool(num_left)
    print(f"{num_errors} errors{left}; results are in {options.out}")
    nothing = any(not report.values["measurements"] for report in reports)
    return 1 if num_errors or nothing else 0


if __name__ == "__main__":
    sys.exit(main())
