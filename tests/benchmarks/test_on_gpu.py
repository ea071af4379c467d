"""`benchmarks/on_gpu.sh`, tried on the CPU with tiny sizes."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import gpu_rates
import gpu_runs
import on_gpu
import pytest
from compile_flags import FLAGS
from gpu_process import Process, Run
from gpu_report import Report

from transformer_jax.config.reading import load_config

ROOT = Path(__file__).resolve().parents[2]

HEADER = {
    "stage", "date", "command", "tiny", "multi30k", "source", "hardware", "versions",
    "budget_seconds", "seconds", "finished", "measurements", "errors", "not_started",
}  # fmt: skip
NUMBERS = {
    "memory bandwidth": {"gigabytes_per_second", "fraction_of_peak"},
    "matrix product": {"tflops_per_second", "fraction_of_peak"},
    "update": {
        "source_tokens_per_second", "target_tokens_per_second", "fraction_of_peak",
        "peak_memory_bytes", "temporary_bytes",
    },
    "attention alone": {
        "forward_seconds", "forward_and_backward_seconds", "relative_errors",
    },
    "translation": {"sentences_per_second", "output_tokens_per_second"},
    "losses": {"platform", "precision", "data", "losses"},
    "comparison of losses": {"largest_relative_difference", "limit", "agree"},
}  # fmt: skip

# A GPU machine has JAX and its companions, but none of these.
BLOCKED = [
    "array_record", "babel", "cattrs", "grain", "importlib_resources", "sacrebleu",
    "sacremoses", "tensorboardX", "tensorflow_datasets", "tyro",
]  # fmt: skip
BLOCK = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
"""


def run_blocked(folder, *command, **environment):
    """Runs a command where Python cannot import the packages that are blocked."""
    blocker = folder / "blocker"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text(BLOCK)
    settings = {
        "PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(map(str, (blocker, ROOT, ROOT / "benchmarks"))),
        "XLA_FLAGS": " ".join(FLAGS[1:]),  # Without eight devices.
    }
    return subprocess.run(
        command,
        env=os.environ | settings | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run(folder, *arguments, **environment):
    """Runs the script likewise; returns its output and its reports."""
    script = ROOT / "benchmarks" / "on_gpu.sh"
    ended = run_blocked(folder, script, "--tiny", *arguments, **environment)
    reports = {
        path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")
    }
    return ended, reports


def check(report):
    """Checks that a report is whole; returns the names of what it measured."""
    assert set(report) == HEADER
    assert (report["errors"], report["not_started"]) == ([], [])
    assert report["hardware"]["device_kind"] == "cpu"
    assert {"python", "jax", "jaxlib", "flax"} <= set(report["versions"])
    assert report["seconds"] <= report["budget_seconds"]
    for measurement in report["measurements"]:
        assert set(measurement) >= NUMBERS[measurement["measured"]]
    return {measurement["measured"] for measurement in report["measurements"]}


@pytest.mark.slow
def test_a_stage_writes_what_it_measures(tmp_path):
    ended, reports = run(
        tmp_path, "--device", "cpu", "--stages", "rates", OUT=str(tmp_path)
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("found: platform=cpu device_kind=cpu ")
    assert set(reports) == {"rates"}
    assert check(reports["rates"]) == {"memory bandwidth", "matrix product"}
    products = reports["rates"]["measurements"][2:]
    assert {each["dtype"] for each in products} == {"bfloat16", "float32"}


@pytest.mark.long
def test_all_stages(tmp_path):
    ended, reports = run(tmp_path, "--device", "cpu", "--out", str(tmp_path))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert set(reports) == set(on_gpu.STAGES)
    measured = {stage: check(report) for stage, report in reports.items()}
    assert measured["updates"] == {"update", "attention alone"}
    assert measured["translation"] == {"translation"}
    assert measured["losses"] == {"losses", "comparison of losses"}

    attention = reports["updates"]["measurements"][-1]
    assert max(attention["relative_errors"].values()) < 0.02  # of bfloat16
    translated = reports["translation"]["measurements"][0]
    # An output is at most one token longer than its source.
    longest = translated["source_tokens"] + translated["num_sentences"]
    assert 0 < translated["output_tokens"] <= longest
    runs = [each for each in reports["losses"]["measurements"] if "losses" in each]
    assert [each.get("reference", False) for each in runs] == [False, False, True]
    assert all(each["losses"][-1] < each["losses"][0] for each in runs)
    assert all(each["data"] == "made up" for each in runs)
    comparison = reports["losses"]["measurements"][-1]
    assert comparison["agree"]
    assert comparison["largest_relative_difference"] < 1e-5  # of one CPU and itself


def test_without_a_gpu_it_says_so(tmp_path):
    ended, reports = run(tmp_path, "--out", str(tmp_path), CUDA_VISIBLE_DEVICES="")
    assert ended.returncode == 1
    assert ended.stderr.startswith("found: no gpu: ")
    assert "Traceback" not in ended.stderr
    assert not reports


@pytest.mark.parametrize("arguments", [["--multi30k", "nowhere"], ["--out", "."]])
def test_what_cannot_be_used_is_refused_before_it_measures(tmp_path, arguments):
    (tmp_path / "losses.json").mkdir()
    script = ROOT / "benchmarks" / "on_gpu.sh"
    ended = subprocess.run(
        [script, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHON": sys.executable},
    )  # fmt: skip
    assert ended.returncode == 2
    assert f"error: {' '.join(arguments)} has " in ended.stderr.splitlines()[-1]


def test_a_folder_belongs_to_one_process_at_a_time(tmp_path, capsys):
    with on_gpu.lock(tmp_path), pytest.raises(SystemExit) as refused:
        on_gpu.lock(tmp_path)
    assert refused.value.code == 2
    assert "another process is measuring into" in capsys.readouterr().err
    on_gpu.lock(tmp_path).close()


@pytest.mark.parametrize(
    "damage",
    [
        {"finished": None}, {"measurements": 5}, {"measurements": [1]},
        {"hardware": [1]}, {"finished": [0], "measurements": []}, None,
    ],
)  # fmt: skip
def test_a_damaged_report_is_no_result(tmp_path, damage):
    path, header = tmp_path / "rates.json", {"stage": "rates", "hardware": {}}
    report = Report(path, header, again=False)
    report.add("measurements", {"measured": "it", "run": 0}, 1.0)
    report.finish(0)
    assert Report(path, header, again=False).has(0)
    path.write_text(
        "[" * 200_000 if damage is None else json.dumps(report.values | damage)
    )
    anew = Report(path, header, again=False)
    assert not anew.has(0)
    assert anew.values["measurements"] == []


@pytest.mark.slow
@pytest.mark.parametrize("package", ["gpu_rates", "gpu_runs", "grain"])
def test_scripts_load_without_what_a_gpu_machine_lacks(tmp_path, package):
    ended = run_blocked(tmp_path, sys.executable, "-c", f"import {package}")
    if package in BLOCKED:
        assert f"ModuleNotFoundError: {package}" in ended.stderr
    else:
        assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
def test_a_run_that_fails_or_takes_too_long_leaves_the_others(tmp_path, monkeypatch):
    runs = [
        Run("gpu_rates", "nothing"),
        Run("gpu_rates", "find"),
        Run("gpu_rates", "find", is_reference=True),
    ]
    monkeypatch.setitem(on_gpu.STAGES, "rates", (lambda options: runs, 1))
    monkeypatch.setattr(on_gpu, "_LEAST_SECONDS", 0)
    options = on_gpu.Options("cpu", True, tmp_path, 1.0, tmp_path, ["rates"])
    found = {"hardware": {}, "versions": {}}

    def measure(**more):
        report = on_gpu.begin("rates", dataclasses.replace(options, **more), found)
        on_gpu.measure(report, options, 60.0)
        assert json.loads((tmp_path / "rates.json").read_text()) == report.values
        return report.values

    report = measure()
    (error,) = report["errors"]
    assert error["measured"] == "nothing"
    assert "KeyError: 'nothing'" in error["error"]
    assert [each.get("reference") for each in report["measurements"]] == [None, True]
    assert all(each["hardware"]["platform"] == "cpu" for each in report["measurements"])
    (late,) = Process(runs[1], "cpu", 0.01).measurements()
    assert late == {"measured": "find", "error": "it took longer than 0 s"}

    # Only what failed is tried again.
    again = measure()
    assert again["measurements"] == report["measurements"]
    assert [each["measured"] for each in again["errors"]] == ["nothing"]
    monkeypatch.setattr(on_gpu, "_LEAST_SECONDS", 61)
    late = measure()
    assert [each["measured"] for each in late["not_started"]] == ["nothing"]
    assert (late["measurements"], late["errors"]) == (report["measurements"], [])
    # Unless everything is to be measured, or it was measured on something else.
    runs.pop()
    for more in ({"again": True}, {"tiny": False}):
        anew = measure(**more)
        assert len(anew["not_started"]) == 2
        assert anew["measurements"] == anew["errors"] == anew["finished"] == []
    assert len(list(tmp_path.glob("rates.*.json"))) == 2


def losses(values, **more):
    return {"measured": "losses", "platform": "gpu", "losses": values, **more}


@pytest.mark.parametrize(
    ("values", "agree"),
    [([4.0, 2.001], True), ([4.0, 2.003], False), ([float("nan"), 2.0], False)],
)
def test_losses_are_held_against_those_of_the_cpu(values, agree):
    found = losses(values, precision="highest")
    reference = losses([4.0, 2.0], precision="highest", reference=True)
    (comparison,) = on_gpu.compare_losses([found, reference])
    assert comparison["agree"] is agree
    if agree:
        assert comparison["largest_relative_difference"] == pytest.approx(0.0005)
        assert comparison["first_relative_difference"] == 0.0
    assert on_gpu.compare_losses([found]) == []


def test_what_is_measured_is_what_the_configurations_say():
    for name in ("base", "big"):
        config = load_config(f"wmt14_en_de_{name}")
        assert dataclasses.asdict(gpu_rates.PAPER_DATA) == dataclasses.asdict(
            dataclasses.replace(config.data, dataset=None)
        )
        free = {"remat": "none", "scan_unroll": None}
        assert dataclasses.replace(config.model, **free) == gpu_runs.MODELS[name](
            compute_dtype="bfloat16"
        )
    config = load_config("multi30k_en_de")
    assert config.model == gpu_runs.MULTI30K.model
    sizes = ("source_length", "target_length", "batch_tokens")
    for name in sizes:
        assert getattr(config.data, name) == getattr(gpu_runs.MULTI30K.data, name)
