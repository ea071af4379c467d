"""Outputs inside a work directory, where they would be taken for parts of the run."""

import pytest
from tiny_runs import trained_run

import transformer_jax as tj
from transformer_jax.storage.directory_lock import lock_directory
from transformer_jax.storage.inside_runs import part_of_run, run_around
from transformer_jax.storage.new_directory import check_new_directory, new_directory
from transformer_jax.storage.outputs import find_output
from transformer_jax.storage.work_directory import work_directory


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints/5").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (tmp_path / "link").symlink_to(folder / "checkpoints")
    return folder


def test_what_is_inside_a_run(run, tmp_path):
    for inside in (run, run / "new/a", run / "checkpoints/5", tmp_path / "link/6"):
        assert run_around(inside) == run
    for outside in (tmp_path, tmp_path / "new", tmp_path / "checkpoints/5"):
        assert run_around(outside) is None
    assert part_of_run(tmp_path / "link/6") == run / "checkpoints"
    assert part_of_run(run / "average/6/a") == run / "average"
    for no_part in (run, run / "new/checkpoints", tmp_path / "checkpoints"):
        assert part_of_run(no_part) is None


def test_no_directory_is_made_in_a_run(run, tmp_path):
    for inside in (
        run / "checkpoints/6",
        run / "average",
        run / "hf",
        tmp_path / "link/6",
    ):
        with pytest.raises(tj.InputError, match=f"is inside the run {run},"):
            check_new_directory(inside)
        assert not inside.exists()
    source = tmp_path / "source"
    source.mkdir()
    with pytest.raises(tj.InputError, match=f"is inside {source}, which it is made of"):
        check_new_directory(source / "in", source=source)
    check_new_directory(tmp_path / "source2", source=source)


def test_nothing_else_is_written_among_checkpoints(run, tmp_path):
    for inside in (run / "checkpoints/6", run / "corpus/a", tmp_path / "link/5/out.de"):
        with pytest.raises(tj.InputError, match="where a run keeps its own"):
            find_output(inside)
        folder = work_directory(inside)
        with pytest.raises(tj.InputError, match="where a run keeps its own"):
            lock_directory(folder).__enter__()
        assert not inside.exists()
    assert find_output(run / "out.de").file == run / "out.de"
    with lock_directory(work_directory(run)):
        pass


def test_no_parameters_are_added_to_a_run_that_was_trained():
    """Nothing could go on from them."""
    done = trained_run()
    own = done.result.translator
    before = sorted((done.workdir / "checkpoints").iterdir())
    for name in ("checkpoints/99", "checkpoints/99/deeper", "average/99"):
        with pytest.raises(tj.InputError, match="of a run that could not go on from"):
            tj.save_parameters(
                done.workdir / name, own.config, own.params, own.tokenizer
            )
    assert sorted((done.workdir / "checkpoints").iterdir()) == before
    with pytest.raises(tj.InputError, match="where a run keeps its own"):
        tj.average_checkpoints(
            done.workdir, last=2, output=done.workdir / "checkpoints/36/average2/x"
        )


def test_a_link_to_an_empty_directory_stays_a_link(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    with new_directory(tmp_path / "link") as partial:
        (partial / "file").touch()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "empty/file").exists()
    with pytest.raises(tj.InputError, match="empty is there already"):
        check_new_directory(tmp_path / "link")
