"""XLA flags of the tests.

Most of their time goes into compiling small programs. Compiled with fewer optimisations
these run fast enough. `make smoke`, and the tests marked `optimised`, have programs as
those of users.
"""

import importlib.metadata
import os

FEWER_OPTIMISATIONS = [
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
]
if importlib.metadata.version("jaxlib").startswith("0.10."):  # later ones refuse it
    FEWER_OPTIMISATIONS += [
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
    ]
FLAGS = ["--xla_force_host_platform_device_count=8"]
if not os.environ.get("TRANSFORMER_JAX_TESTS_OPTIMISED"):
    FLAGS += FEWER_OPTIMISATIONS
