"""Several toolkits measured in turn, each in a process of its own.

A toolkit is a function `prepare(**arguments) -> run`, and `run()` does one round and
returns its measurements as a dictionary. It imports what it needs itself: a package
that is not installed leaves its toolkit out. The rounds alternate, so that whatever
else the machine does meets all toolkits alike.
"""

import argparse
import datetime
import importlib.metadata
import json
import multiprocessing
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

Round = dict[str, Any]
Prepare = Callable[..., Callable[[], Round]]

NUM_THREADS = 2


def cpu_name() -> str | None:
    """Returns what the CPU calls itself, where Linux or macOS says it.

    With family and model, which tell what generation it is: a name may not.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        query = ["sysctl", "-n", "machdep.cpu.brand_string"]
        try:
            answer = subprocess.run(query, capture_output=True, text=True, check=False)
        except OSError:
            return None
        return answer.stdout.strip() or None
    first: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        first.setdefault(name.strip(), value.strip())
    named = [("model name", ""), ("cpu family", "family "), ("model", "model ")]
    return ", ".join(says + first[key] for key, says in named if key in first) or None


def at_least_one(text: str) -> int:
    """Reads a number of the command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} must be at least 1")
    return number


def describe(*packages: str) -> dict[str, Any]:
    """Returns date, command, hardware and the versions of the packages."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "date": datetime.date.today().isoformat(),
        "command": shlex.join(["python", *sys.argv]),
        "hardware": {
            "cpu": cpu_name(),
            "cores": os.cpu_count(),
            # Processes that wanted to run in the last minute: other work, if above 0.
            "load_at_start": round(os.getloadavg()[0], 2),
        },
        "versions": versions,
    }


class Toolkit:
    """A toolkit in a process of its own, which waits for its turn."""

    def __init__(self, name: str, prepare: Prepare, arguments: dict[str, Any]) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, prepare, arguments), daemon=True
        )
        self._process.start()
        theirs.close()
        self.failure: str | None = self._receive()
        """Why it cannot be measured, or None."""

    def run(self) -> Round:
        """Does one round and returns its measurements."""
        self._connection.send("run")
        return self._receive()

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join()

    def _receive(self) -> Any:
        try:
            kind, value = self._connection.recv()
        except EOFError:
            self._process.join()
            return f"its process ended with status {self._process.exitcode}"
        if kind == "error":
            sys.exit(f"{self.name}:\n{value}")
        return value


def _serve(connection: Any, prepare: Prepare, arguments: dict[str, Any]) -> None:
    """Prepares a toolkit, then does a round whenever it is told to."""
    try:
        # What the libraries count as the cores of the machine.
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:NUM_THREADS])
        try:
            run = prepare(**arguments)
        except ModuleNotFoundError as error:
            connection.send(("failure", f"{error.name} is not installed"))
            return
        connection.send(("ready", None))
        while True:
            try:
                connection.recv()
            except EOFError:
                return
            before = time.process_time()
            measurements = run()
            measurements["cpu_seconds"] = time.process_time() - before
            measurements["peak_memory_bytes"] = _peak_memory()
            connection.send(("round", measurements))
    except Exception:
        connection.send(("error", traceback.format_exc()))


def _peak_memory() -> int:
    """Returns the most bytes of memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1_024 * peak


def measure_in_turn(
    toolkits: dict[str, tuple[Prepare, dict[str, Any]]], num_rounds: int
) -> dict[str, Any]:
    """Returns the rounds of each toolkit, and why some were left out.

    A first round of each is not counted: programs are compiled in it.
    """
    left_out, ready = {}, []
    for name, (prepare, arguments) in toolkits.items():
        toolkit = Toolkit(name, prepare, arguments)
        if toolkit.failure is None:
            toolkit.run()
            ready.append(toolkit)
        else:
            left_out[name] = toolkit.failure
            print(f"{name} is left out: {toolkit.failure}", file=sys.stderr)
    rounds: dict[str, list[Round]] = {toolkit.name: [] for toolkit in ready}
    for number in range(num_rounds):
        for toolkit in ready:
            rounds[toolkit.name].append(toolkit.run())
        print(f"round {number + 1} of {num_rounds}", file=sys.stderr, flush=True)
    for toolkit in ready:
        toolkit.close()
    return {"rounds": rounds, "left_out": left_out}


def summarise(rounds: dict[str, list[Round]], unit: str) -> dict[str, Any]:
    """Returns peak memory, median and range of rates, and the first one's ratio.

    The ratios are of rounds that followed each other, so that both met the same
    machine. Rates by CPU seconds, of all threads of a toolkit, say more than the others
    where the machine has other work to do.

    Args:
        unit: what a round counts, beside its `seconds`.
    """
    summary: dict[str, Any] = {
        name: {"peak_memory_bytes": those[-1]["peak_memory_bytes"]}
        for name, those in rounds.items()
    }
    for clock in ("second", "cpu_second"):
        rates = {
            name: [each[unit] / each[f"{clock}s"] for each in those]
            for name, those in rounds.items()
        }
        ours = next(iter(rates.values()))
        for name, found in rates.items():
            ratios = [x / y for x, y in zip(ours, found, strict=True)]
            summary[name] |= {
                f"{unit}_per_{clock}": _median_and_range(found),
                f"first_to_this_per_{clock}": _median_and_range(ratios),
            }
    return summary


def _median_and_range(values: list[float]) -> dict[str, float]:
    figures = {
        "median": statistics.median(values),
        "least": min(values),
        "most": max(values),
    }
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def print_report(report: dict[str, Any]) -> None:
    """Prints the one JSON object of a script."""
    print(json.dumps(report, indent=2))
