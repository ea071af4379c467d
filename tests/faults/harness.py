"""Kills and terminates a real run at random moments, and compares what comes of it.

    PYTHONPATH=.:tests python tests/faults/harness.py --kills 100 --terms 20

A run of two processes with two devices each, by the command line, is interrupted again
and again and continued by the same command, until it has reached its last step. Its
parameters, optimizer state and metrics must then be those of a run that nothing has
disturbed, to the bit. Then the next run begins. Prints a line for each fault and one
JSON object at the end; exit code 1 if anything was not as it must be.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from compile_flags import FEWER_OPTIMISATIONS
from tiny_runs import reversed_pairs, tiny_config

from transformer_jax.config.reading import config_to_dict

TESTS = Path(__file__).resolve().parents[1]
# What a clock decides, and what is compiled in one process or another.
_TIMES = {
    "source_tokens_per_second",
    "target_tokens_per_second",
    "step_seconds",
    "seconds",
    "compile_count",
}
_PATIENCE_SECONDS = 120.0
# This part of the faults is held back until a checkpoint is being written.
_AIMED, _AIM_SECONDS = 0.3, 5.0
_PROCESSES, _DEVICES = 2, 2


class Job:
    """A job of two processes that train into a work directory."""

    def __init__(self, folder: Path, workdir: Path) -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        self.errors = [folder / f"stderr.{rank}" for rank in range(_PROCESSES)]
        environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": " ".join(
                (
                    *FEWER_OPTIMISATIONS,
                    f"--xla_force_host_platform_device_count={_DEVICES}",
                )
            ),
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "PYTHONPATH": str(TESTS.parent),
        }
        self.processes = []
        for rank in range(_PROCESSES):
            command = [
                sys.executable, "-m", "transformer_jax", "train",
                str(folder / "config.json"), "--workdir", str(workdir),
                "--distributed", "--coordinator-address", f"localhost:{port}",
                "--num-processes", str(_PROCESSES), "--process-index", str(rank),
            ]  # fmt: skip
            with self.errors[rank].open("wb") as errors:
                self.processes.append(
                    subprocess.Popen(
                        command, env=environment, stdout=subprocess.DEVNULL,
                        stderr=errors,
                    )
                )  # fmt: skip

    def signal(self, number: int) -> None:
        """Sends a signal to both, as a scheduler does."""
        for process in self.processes:
            process.send_signal(number)

    def wait(self, seconds: float) -> list[int] | None:
        """Returns the exit codes; None if a process still lives after that time."""
        until = time.monotonic() + seconds
        try:
            return [
                process.wait(max(0.01, until - time.monotonic()))
                for process in self.processes
            ]
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        for process in self.processes:
            process.wait()

    def told(self) -> str:
        """Returns the end of what each process has said."""
        return "\n".join(path.read_text()[-1500:] for path in self.errors)


def write_settings(folder: Path) -> None:
    """Writes the text and the settings of the run."""
    paths = {}
    for split, number in (("train", 200), ("validation", 30)):
        pairs = reversed_pairs(number, seed=number)
        for side, column in (("source", 0), ("target", 1)):
            path = folder / f"{split}.{side}"
            path.write_text("".join(f"{pair[column]}\n" for pair in pairs))
            paths[f"data__{split}_{side}_path"] = str(path)
    config = tiny_config(
        **paths,
        model__num_encoder_layers=1,
        model__num_decoder_layers=1,
        training__num_steps=40,
        training__log_every_steps=3,
        training__checkpoint_every_steps=4,
        training__evaluate_every_steps=16,
        training__validation_bleu_sentences=4,
        training__keep_last=3,
        training__ema_decay=0.9,
        training__max_gradient_ratio=10.0,
    )
    (folder / "config.json").write_text(json.dumps(config_to_dict(config)))


def result_of(workdir: Path) -> tuple[dict, list]:
    """Returns every array of the last checkpoint, and the metrics without times."""
    import jax
    import orbax.checkpoint as ocp

    last = max(
        (p for p in (workdir / "checkpoints").iterdir() if p.name.isdigit()),
        key=lambda path: int(path.name),
    )
    arrays = {"step": last.name}
    for item in ("params", "training"):
        with ocp.PyTreeCheckpointer() as checkpointer:
            metadata = checkpointer.metadata(last / item).item_metadata.tree
            to_numpy = jax.tree.map(
                lambda _: ocp.RestoreArgs(restore_type=__import__("numpy").ndarray),
                metadata,
            )
            tree = checkpointer.restore(
                last / item, args=ocp.args.PyTreeRestore(restore_args=to_numpy)
            )
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            arrays[item + jax.tree_util.keystr(path)] = leaf.tobytes()
    lines = [
        {name: value for name, value in json.loads(line).items() if name not in _TIMES}
        for line in (workdir / "metrics.jsonl").read_text().splitlines()
    ]
    return arrays, lines


def differences(found: tuple[dict, list], expected: tuple[dict, list]) -> list[str]:
    """Returns what differs, by name."""
    names = [
        name
        for name in sorted(found[0] | expected[0])
        if found[0].get(name) != expected[0].get(name)
    ]
    return names + (["metrics.jsonl"] if found[1] != expected[1] else [])


def is_saving(workdir: Path) -> bool:
    """Returns whether a checkpoint is being written."""
    return bool(list((workdir / "checkpoints").glob("*tmp*")))


def wait_for(is_so: Callable[[], bool], seconds: float) -> None:
    """Returns when it is so, or when the time is over."""
    until = time.monotonic() + seconds
    while not is_so() and time.monotonic() < until:
        time.sleep(0.002)


def phase_of(workdir: Path) -> str:
    """Returns roughly what the run is doing, from its files."""
    if is_saving(workdir):
        return "writing a checkpoint"
    if not (workdir / "metrics.jsonl").exists():
        return "before the first update"
    return "training or evaluating"


def disturb(kills: int, terms: int, seed: int, folder: Path) -> dict:
    """Returns the counts of faults, and whatever was wrong."""
    rng = random.Random(seed)
    write_settings(folder)
    undisturbed = folder / "undisturbed"
    for _ in range(2):  # The second time nothing has to be compiled.
        subprocess.run(["rm", "-rf", str(undisturbed)], check=True)
        started, job = time.monotonic(), Job(folder, undisturbed)
        codes = job.wait(10 * _PATIENCE_SECONDS)
        assert codes == [0, 0], (codes, job.told())
        duration = time.monotonic() - started
    expected = result_of(undisturbed)
    faults = [signal.SIGKILL] * kills + [signal.SIGTERM] * terms
    rng.shuffle(faults)
    phases: Counter[str] = Counter()
    ended_seconds, wrong, runs, number = [], [], 0, 0
    while number < len(faults):
        workdir = folder / f"disturbed-{runs}"
        while True:
            job = Job(folder, workdir)
            wish = faults[number] if number < len(faults) else None
            codes = job.wait(
                rng.uniform(0.3, 1.05) * duration if wish else 10 * _PATIENCE_SECONDS
            )
            if codes is not None:
                if codes != [0, 0]:
                    wrong.append(f"run {runs} ended with {codes}: {job.told()}")
                    job.kill()
                break
            assert wish is not None, job.told()
            if rng.random() < _AIMED:
                wait_for(lambda d=workdir: is_saving(d), _AIM_SECONDS)
            number += 1
            phase = phase_of(workdir)
            phases[f"{signal.Signals(wish).name} {phase}"] += 1
            job.signal(wish)
            if wish == signal.SIGTERM:
                asked = time.monotonic()
                codes = job.wait(_PATIENCE_SECONDS)
                ended_seconds.append(time.monotonic() - asked)
                # A process that has not begun to listen ends by the signal itself; a
                # run that was ending anyway ends well.
                if codes is None or not set(codes) <= {143, -15, 0}:
                    wrong.append(f"SIGTERM: exit codes {codes}: {job.told()}")
            job.kill()
            print(
                f"{number}/{len(faults)} {signal.Signals(wish).name} {phase} {codes}",
                file=sys.stderr, flush=True,
            )  # fmt: skip
        differing = differences(result_of(workdir), expected)
        if differing:
            wrong.append(f"run {runs} differs in {', '.join(differing[:6])}")
        if not differing and not wrong:
            subprocess.run(["rm", "-rf", str(workdir)], check=True)
        runs += 1
        print(f"run {runs} compared: {differing or 'equal'}", file=sys.stderr)
    return {
        "kills": kills,
        "terms": terms,
        "phases": dict(sorted(phases.items())),
        "runs_compared": runs,
        "arrays_compared": len(expected[0]),
        "longest_seconds_to_end_after_sigterm": round(max(ended_seconds, default=0), 1),
        "undisturbed_seconds": round(duration, 1),
        "wrong": wrong,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--terms", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="keep what the runs leave here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults_") as temporary:
        folder = Path(given.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        told = disturb(given.kills, given.terms, given.seed, folder)
    print(json.dumps(told, indent=2))
    return 1 if told["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
