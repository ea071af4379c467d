"""The command line runs with large pages, in the process that was started."""

import os
import subprocess
import sys

import pytest

from transformer_jax.devices import large_pages
from transformer_jax.devices.large_pages import has_large_pages

PROGRAM = """
import os, resource, sys
from transformer_jax.devices.large_pages import restart_with_large_pages
print("begun", flush=True)
restart_with_large_pages()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    b"1" * 64_000_000  # 15,600 small pages.
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(os.getpid(), faults, os.environ.get("GLIBC_TUNABLES"), *sys.argv[1:])
"""
asks = pytest.mark.skipif(
    large_pages._kernel_mode() != "madvise"
    or not large_pages.is_glibc()
    or large_pages.has_accelerator(),
    reason="large pages are for nobody here, or for everybody",
)


@pytest.fixture
def run(tmp_path):
    """Runs the program under a name; returns how often it began, and what it saw."""

    def run(name="transformer-jax", **environment):
        script = tmp_path / name
        script.write_text(PROGRAM)
        inherited = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
        started = subprocess.Popen(
            [sys.executable, "-W", "error", str(script), "a b"],
            stdout=subprocess.PIPE, text=True, env=inherited | environment,
        )  # fmt: skip
        lines = started.communicate()[0].splitlines()
        process, faults, tunables, *arguments = lines[-1].split()
        assert (int(process), arguments) == (started.pid, ["a", "b"])
        return lines.count("begun"), int(faults), tunables

    return run


@asks
def test_a_program_starts_again_once_with_large_pages(run):
    begun, faults, tunables = run()
    assert begun == 2
    assert faults < 5_000
    assert tunables == "glibc.malloc.hugetlb=1"


@asks
def test_other_settings_of_the_user_stay_and_his_choice_is_kept(run):
    begun, _, tunables = run(GLIBC_TUNABLES="glibc.malloc.check=0")
    assert (begun, tunables) == (2, "glibc.malloc.check=0:glibc.malloc.hugetlb=1")
    begun, faults, tunables = run(GLIBC_TUNABLES="glibc.malloc.hugetlb=0")
    assert (begun, tunables) == (1, "glibc.malloc.hugetlb=0")
    assert faults > 30_000


@asks
def test_a_program_of_the_users_own_is_not_started_twice(run):
    assert run("my_script.py")[0] == 1


@asks
def test_where_it_cannot_start_again_it_goes_on_without(monkeypatch, tmp_path):
    script = tmp_path / "transformer-jax"
    script.touch()
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setattr(sys, "orig_argv", ["python", str(script)])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    large_pages.restart_with_large_pages()
    assert not has_large_pages()


@pytest.mark.parametrize(
    ("kernel", "tunables", "expected"),
    [
        ("always [madvise] never", "glibc.malloc.hugetlb=1", True),
        ("always [madvise] never", "glibc.malloc.hugetlb=0", False),
        ("always [madvise] never", "", False),
        ("[always] madvise never", "", True),
        ("always madvise [never]", "glibc.malloc.hugetlb=1", False),
        (None, "glibc.malloc.hugetlb=1", False),
    ],
)
def test_both_kernel_and_library_must_give_them(
    kernel, tunables, expected, tmp_path, monkeypatch
):
    file = tmp_path / "enabled"
    if kernel is not None:
        file.write_text(kernel + "\n")
    monkeypatch.setattr(large_pages, "_OF_KERNEL", file)
    assert has_large_pages({"GLIBC_TUNABLES": tunables}) == expected
