"""bench and plan from the command line, and settings put beside each other."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
from tiny_runs import one_layer_config, reversed_pairs

from transformer_jax.cli import main
from transformer_jax.commands.settings import change_settings
from transformer_jax.config.experiment import ExperimentConfig, MeshConfig
from transformer_jax.config.reading import config_to_dict
from transformer_jax.errors import InputError

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="libtpu, the compiler for TPUs, is not installed",
)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config_to_dict(one_layer_config())))
    return str(path)


@pytest.mark.long
def test_bench_in_a_process_of_its_own(tmp_path):
    """Another process, since a trace cannot be had where libtpu has been loaded."""
    for side in ("source", "target"):
        lines = [pair[side == "target"] for pair in reversed_pairs(120)]
        (tmp_path / side).write_text("\n".join(lines) + "\n")
    config = one_layer_config(
        data__train_source_path=str(tmp_path / "source"),
        data__train_target_path=str(tmp_path / "target"),
    )
    (tmp_path / "config.json").write_text(json.dumps(config_to_dict(config)))
    arguments = ["--workdir", "run", "--num-steps", "2", "--profile", "profile"]
    done = subprocess.run(
        [sys.executable, "-m", "transformer_jax", "bench", "config.json", *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled")},
    )  # fmt: skip
    found = json.loads(done.stdout)
    promised = {
        "compile_seconds", "step_seconds", "source_tokens_per_second",
        "target_tokens_per_second", "fill", "tflops_per_second", "fraction_of_peak",
        "peak_memory_bytes", "device", "num_devices", "mesh",
    }  # fmt: skip
    assert promised <= found.keys()
    assert found["num_steps"] == 2
    assert found["data"] == str(tmp_path / "source")
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))
    assert list((tmp_path / "profile").rglob("perfetto_trace.json.gz"))
    for noise in ("libtpu", "TPU_", "WARNING", "InitGoogle"):
        assert noise not in done.stderr


@pytest.mark.slow
@needs_libtpu
def test_plan_prints_a_plan(config, capsys):
    assert main(["plan", config, "--topology", "v5e:1x1", "--operations", "3"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    promised = {
        "num_chips", "mesh", "flops", "bytes_accessed", "argument_bytes",
        "temporary_bytes", "collective_bytes", "roofline_seconds", "compile_seconds",
    }  # fmt: skip
    assert promised <= found.keys()
    assert found["num_chips"] == 1
    assert found["collective_bytes"] == {}
    assert len(captured.err.splitlines()) == 1 + 3


@pytest.mark.long
@needs_libtpu
def test_plan_puts_settings_side_by_side(config, capsys):
    others = ["mesh.tensor=2,mesh.data=2", "mesh.data=3", "data.batch_tokens=24"]
    arguments = ["plan", config, "--topology", "v5e:2x2", "--compare", *others]
    assert main(arguments) == 0
    plans = json.loads(capsys.readouterr().out)["plans"]
    assert [plan["settings"] for plan in plans] == ["", *others]
    meshes = [plan.get("mesh") for plan in plans]
    assert meshes[0] == {"data": 4, "fsdp": 1, "tensor": 1}
    assert meshes[1] == {"data": 2, "fsdp": 1, "tensor": 2}
    assert "must" in plans[2]["error"]
    assert "4 devices" in plans[3]["error"]
    # Half of every matrix is on each chip of a pair.
    assert plans[1]["argument_bytes"] < plans[0]["argument_bytes"]


def test_settings_are_changed_by_name():
    config = ExperimentConfig(mesh=MeshConfig(data=2, tensor=2))
    other = change_settings(config, "model.remat=layer,model.dropout_rate=0.5")
    assert other.model.remat == "layer"
    assert other.model.dropout_rate == 0.5
    assert other.mesh == config.mesh
    assert other.replace(model=config.model) == config
    # Of a mesh, what is not named is left out.
    assert change_settings(config, "mesh.fsdp=4").mesh == MeshConfig(fsdp=4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("remat=layer", "section.field=value"),
        ("model.remat", "section.field=value"),
        ("modl.remat=layer", "section.field=value"),
        ("model.reamt=layer", "model.remat"),
        ("model.num_heads=many", "model.num_heads"),
    ],
)
def test_changes_that_cannot_be_read(text, expected):
    with pytest.raises(InputError, match=expected):
        change_settings(ExperimentConfig(), text)
