"""The stages of `on_gpu.py`: what each of them runs, most telling first."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpu_process import Run


@dataclass(frozen=True)
class Options:
    """The command line."""

    device: str
    tiny: bool
    out: Path
    minutes: float
    multi30k: Path
    stages: list[str]
    again: bool = False


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
