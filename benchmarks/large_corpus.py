"""Memory and time from a large text to the first batch, phase by phase.

    python benchmarks/large_corpus.py --source train.en --target train.fr \\
        --workdir runs/large --pairs 1000000 3000000

For each number of pairs, the first lines of the two files are prepared in a process of
its own, and read again in a second one, as by a second start of `train`. Beside them
another process reads every 5 ms how much anonymous memory the processes hold
(`RssAnon` of /proc, worker processes included): what the kernel can only swap. Pages of
mapped files do not count, as it drops them when it needs the memory.

`growth` is what each pair adds to a phase, in bytes, between two numbers of pairs.
"""

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import at_least_one, describe

_SECONDS_BETWEEN = 0.005


def anonymous_bytes(process: int) -> int:
    """Returns the anonymous memory of a process and of all its children."""
    found = 0
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                found = 1024 * int(line.split()[1])
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += anonymous_bytes(int(child))
    return found


class Phases:
    """Times the phases of a process, and tells the one that watches their names."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started, used = time.monotonic(), time.process_time()
        self._connection.send(name)
        yield
        seconds = time.monotonic() - started, time.process_time() - used
        self._connection.send([round(value, 2) for value in seconds])


def first_lines(path: Path, number: int, copy: Path) -> Path:
    """Returns a copy of the first lines of a file."""
    with path.open("rb") as lines, copy.open("wb") as written:
        written.writelines(itertools.islice(lines, number))
    return copy


def check(arguments: argparse.Namespace, error: Callable[[str], None]) -> None:
    """Calls a function with what is wrong with the arguments."""
    many = max(arguments.pairs)
    for path in (arguments.source, arguments.target):
        if not path.is_file():
            error(f"{path} is no file")
        with path.open("rb") as lines:
            found = sum(1 for _ in itertools.islice(lines, many))
        if found < many:
            error(f"{path} has {found} lines: too few for --pairs {many}")
    try:
        arguments.workdir.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        error(f"--workdir {arguments.workdir} cannot be made: {problem.strerror}")


def settings(texts: list[Path], arguments: argparse.Namespace) -> Any:
    """Returns the configuration: rows of the paper's batch, base model."""
    import transformer_jax as tj

    return tj.ExperimentConfig(
        model=tj.ModelConfig(vocab_size=arguments.vocab_size),
        tokenizer=tj.TokenizerConfig(max_sentences=arguments.max_sentences),
        data=tj.DataConfig(
            train_source_path=str(texts[0]),
            train_target_path=str(texts[1]),
            source_length=arguments.length,
            target_length=arguments.length,
            source_language=arguments.languages[0],
            target_language=arguments.languages[1],
        ),
    )


def prepare(
    phase: Phases, workdir: Path, texts: list[Path], arguments: argparse.Namespace
) -> None:
    """What the first start does with the text."""
    from transformer_jax.data.corpus_files import check_usable, write_corpus
    from transformer_jax.data.source import load_pairs
    from transformer_jax.tokenizer.tokenizer import train_tokenizer

    config = settings(texts, arguments)
    with phase("open the text"):
        pairs = load_pairs(config.data, "train")
    with phase("digest"):
        check_usable(pairs)
        pairs.digest()
    with phase("learn the tokenizer"):
        tokenizer = train_tokenizer(pairs, config.tokenizer, config.model)
    tokenizer.save(workdir)
    with phase("tokenise"):
        write_corpus(
            pairs, tokenizer, workdir / "corpus" / "train", fingerprint=pairs.digest()
        )


def start(
    phase: Phases, workdir: Path, texts: list[Path], arguments: argparse.Namespace
) -> None:
    """What each later start does, to the first batch and on to the next epoch."""
    import transformer_jax as tj

    config = settings(texts, arguments)
    with phase("second start: prepare"):
        corpus = tj.prepare(config, workdir).train
    with phase("second start: pack"):
        packed = tj.pack_corpus(corpus, config.data, seed=0)
    with phase("second start: first batch"):
        batches = tj.make_batches(corpus, packed, config.data, seed=0)
        batch = next(batches)
    tokens = int(np.count_nonzero(batch.source_segments)), batch.source_segments.size
    print(packed.num_rows, "rows; first batch filled", *tokens, file=sys.stderr)
    del batches
    last = max(0, packed.num_rows // config.data.rows - 2)
    with phase("batches from one epoch to the next"):
        batches = tj.make_batches(corpus, packed, config.data, seed=0, start_step=last)
        for _ in range(6):
            next(batches)


def watch(run: Any, *given: Any) -> dict[str, Any]:
    """Runs a function in a process of its own; returns what each phase took."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(run, there, *given))
    process.start()
    there.close()
    found: dict[str, Any] = {}
    name, peak = "", 0
    while process.is_alive() or here.poll():
        peak = max(peak, anonymous_bytes(process.pid or 0))
        if not here.poll(_SECONDS_BETWEEN):
            continue
        try:
            message = here.recv()
        except EOFError:
            break
        if isinstance(message, str):
            name, peak = message, 0
        else:
            wall, cpu = message
            found[name] = {"peak_bytes": peak, "seconds": wall, "cpu_seconds": cpu}
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)
    return found


def _run(run: Any, connection: Any, *given: Any) -> None:
    import transformer_jax as tj

    _ = tj.ExperimentConfig, tj.prepare, tj.pack_corpus, tj.make_batches
    try:
        run(Phases(connection), *given)
    except tj.InputError as error:
        print(f"error: {error} (here: --vocab-size, --length)", file=sys.stderr)
        sys.exit(2)


def main() -> None:
    """Prints a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--source", type=Path, required=True, help="text, one sentence a line")
    add("--target", type=Path, required=True, help="its translation")
    add("--workdir", type=Path, required=True, help="for files while it runs")
    add("--pairs", type=at_least_one, nargs="+", required=True, help="lines to take")
    add("--length", type=at_least_one, default=256, help="tokens of a row")
    add("--languages", nargs=2, default=["en", "fr"], help="of source and target")
    add("--vocab-size", type=at_least_one, default=32_000, help="fewer for small texts")
    add(
        "--max-sentences",
        type=at_least_one,
        default=400_000,
        help="the tokenizer learns from",
    )
    arguments = parser.parse_args()
    check(arguments, parser.error)
    report = describe("jax", "numpy", "sentencepiece") | {"phases": {}}
    numbers = sorted(set(arguments.pairs))
    for number in numbers:
        with tempfile.TemporaryDirectory(dir=arguments.workdir) as name:
            folder = Path(name)
            texts = [
                first_lines(path, number, folder / f"{side}{path.suffix}")
                for side, path in (
                    ("source", arguments.source),
                    ("target", arguments.target),
                )
            ]
            for run in (prepare, start):
                for phase, found in watch(run, folder, texts, arguments).items():
                    report["phases"].setdefault(phase, {})[number] = found
                    print(number, phase, found, file=sys.stderr)
    for found in report["phases"].values():
        for few, many in itertools.pairwise(numbers):
            grown = found[many]["peak_bytes"] - found[few]["peak_bytes"]
            found[f"growth {few} to {many}"] = round(grown / (many - few), 2)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
