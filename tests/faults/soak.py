"""Trains a small run for hours and samples memory, open files, threads and step time.

    PYTHONPATH=.:tests:tests/faults python tests/faults/soak.py --minutes 120

Checkpoints, evaluations and log lines come every few updates, so that whatever each of
them leaves behind adds up. Prints the medians of the second and the last quarter of the
time as one JSON object; exit code 1 if memory has grown by more than 2 %, or the number
of open files or threads at all.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from processes import launch
from test_signals import settings

from transformer_jax.training.metrics_file import read_metrics


def sample(pid: int) -> dict[str, float]:
    """Returns what a process holds now."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in status if ":" in line)
    return {
        "memory_mb": int(values["VmRSS"].split()[0]) / 1024,
        "open_files": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(values["Threads"]),
    }


def soak(minutes: float, folder: Path) -> dict[str, list[float]]:
    """Returns the medians of the second and of the last quarter of the time."""
    file = settings(
        folder,
        training__log_every_steps=20,
        training__checkpoint_every_steps=50,
        training__evaluate_every_steps=200,
        training__validation_bleu_sentences=8,
        training__ema_decay=0.99,
    )
    with (folder / "stderr").open("w") as errors:
        process = launch("train", file, "--workdir", folder / "run", stderr=errors)
    samples, until = [], time.monotonic() + 60 * minutes
    try:
        while time.monotonic() < until and process.poll() is None:
            time.sleep(min(10.0, 60 * minutes / 40))
            samples.append(sample(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(120)
    assert code == 143, (folder / "stderr").read_text()[-2000:]
    lines = [x for x in read_metrics(folder / "run") if x["kind"] == "train"]
    series = {name: [s[name] for s in samples] for name in samples[0]}
    series["step_seconds"] = [line["step_seconds"] for line in lines]
    told = {
        name: [
            round(statistics.median(values[len(values) // 4 : len(values) // 2]), 4),
            round(statistics.median(values[-len(values) // 4 :]), 4),
        ]
        for name, values in series.items()
    }
    return told | {"minutes": [minutes], "updates": [lines[-1]["step"]]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    with tempfile.TemporaryDirectory(prefix="soak_") as folder:
        told = soak(parser.parse_args().minutes, Path(folder))
    print(json.dumps(told, indent=2))
    (memory, later), files, threads = (
        told[name] for name in ("memory_mb", "open_files", "threads")
    )
    return int(later > 1.02 * memory or files[1] > files[0] or threads[1] > threads[0])


if __name__ == "__main__":
    sys.exit(main())
