"""What an update of the paper's models, and a step of search, cost on TPUs.

Compiles for TPUs that are not attached, each in half a minute to two minutes, and
prints a line of JSON for each, and at last tables. Needs the extra `tpu`:

    python benchmarks/plans_for_tpus.py
    python benchmarks/plans_for_tpus.py --models base --topologies v5e:4x4 --no-search
"""

import argparse
import dataclasses
import json

from transformer_jax.config.reading import load_config
from transformer_jax.cost.plan import Plan, plan
from transformer_jax.cost.search_plan import SearchPlan, plan_search

TOPOLOGIES = ("v5e:4x4", "v5p:2x2x4", "v6e:4x4")
MODELS = ("base", "big")
SENTENCES = 512


def row_of_update(model: str, found: Plan) -> str:
    """Returns a line of the table of updates."""
    times = [1e3 * found.roofline_seconds[name] for name in ("compute", "memory")]
    times.append(1e3 * found.roofline_seconds["network"])
    times += [1e3 * found.schedule_seconds, 1e3 * found.exposed_network_seconds]
    cells = [f"{model}, {found.topology}", f"{found.main_memory_bytes / 1e9:.2f}"]
    cells += [f"{time:.2f}" for time in times]
    cells.append(f"{100 * found.model_flops_utilization_at_most:.0f} %")
    cells += [f"{found.flops / found.model_flops:.3f}", f"{found.compile_seconds:.0f}"]
    return f"| {' | '.join(cells)} |"


def row_of_search(found: SearchPlan) -> str:
    """Returns a line of the table of searches."""
    cells = [
        f"{found.sentences} x {found.source_tokens}",
        f"{found.least_bytes / 1e9:.2f}",
        f"{found.main_memory_bytes / 1e9:.2f}",
        f"{found.bytes_over_least:.2f}",
        f"{1e3 * found.roofline_seconds['compute']:.2f}",
        f"{1e3 * found.roofline_seconds['memory']:.2f}",
        f"{found.output_tokens_per_second_at_most:,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Prints plans as they are made, and then the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--topologies", nargs="+", default=TOPOLOGIES)
    parser.add_argument("--no-search", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for model in arguments.models:
        config = load_config(f"wmt14_en_de_{model}")
        for topology in arguments.topologies:
            found, _ = plan(config, topology)
            print(json.dumps(dataclasses.asdict(found)), flush=True)
            rows.append(row_of_update(model, found))
    print("\n".join(rows))
    if not arguments.no_search:
        config = load_config("wmt14_en_de_base")
        step, _ = plan_search(config, "v5e:1x1", SENTENCES)
        print(json.dumps(dataclasses.asdict(step)))
        print(row_of_search(step))


if __name__ == "__main__":
    main()
