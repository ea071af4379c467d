"""Seconds of an update of each target of `reproduce`, by the roofline of `plan`.

Writes update_seconds.json, which `reproduce --list` reads, into the package. Of
v5e-16 it is the roofline of the compiled update. Of 8 H100 it is the same program's
products and bytes on their data sheet, without a network. Needs the extra `tpu`:

    python benchmarks/plan_targets.py             each takes minutes to compile
    python benchmarks/plan_targets.py --missing   those that the file has not; the
                                                  others stay, however old they are
"""

import argparse
import dataclasses
import json
from pathlib import Path

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.cost.plan import Plan, plan
from transformer_jax.devices.chips import _GPUS
from transformer_jax.reproduction.scaling import target_settings
from transformer_jax.reproduction.targets import TARGETS

FILE = Path(__file__).parents[1] / "transformer_jax/reproduction/update_seconds.json"
H100 = _GPUS["H100"]


def seconds_of(found: Plan) -> dict[str, float]:
    """Returns the seconds of an update on each machine."""
    share = found.num_chips / 8
    on_gpus = max(
        share * found.matmul_flops / H100.bfloat16_flops,
        share * found.main_memory_bytes / H100.memory_bandwidth,
    )
    on_tpus = found.roofline_seconds[found.bound_by]
    return {"v5e-16": round(on_tpus, 5), "8 H100": round(on_gpus, 5)}


def for_topology(config: ExperimentConfig) -> ExperimentConfig:
    """Returns the settings with the rows of 16 chips, each a multiple of them."""
    model = dataclasses.replace(config.model, compute_dtype="bfloat16")
    return config.replace(model=model)


def main() -> None:
    """Compiles each target that is not like one before."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--missing", action="store_true")
    kept = json.loads(FILE.read_text()) if parser.parse_args().missing else {}
    known: dict[ExperimentConfig, dict[str, float]] = {}
    seconds = dict(kept)
    for name, target in TARGETS.items():
        config = for_topology(target_settings(target))
        # The rate of dropout and what the loss is smoothed by cost nothing.
        alike = config.replace(
            model=dataclasses.replace(config.model, dropout_rate=0.1),
            training=dataclasses.replace(
                config.training, label_smoothing=0.1, num_steps=1, keep_last=1
            ),
            data=dataclasses.replace(config.data, dataset=None, target_language="de"),
        )
        if name in kept:
            known.setdefault(alike, kept[name])
        if alike not in known:
            known[alike] = seconds_of(plan(config, "v5e:4x4")[0])
        seconds[name] = known[alike]
        print(name, seconds[name], flush=True)
        FILE.write_text(json.dumps(seconds, indent=2) + "\n")


if __name__ == "__main__":
    main()
