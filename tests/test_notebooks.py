"""The notebooks run from top to bottom, and are stored without output."""

from pathlib import Path

import pytest
from compile_flags import FEWER_OPTIMISATIONS

nbformat = pytest.importorskip("nbformat", reason="not part of a light install")
nbclient = pytest.importorskip("nbclient", reason="not part of a light install")

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_without_output(path):
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)


# Fewer updates and sentences show that it runs.
SHORTER = {
    "num_steps=600, evaluate_every_steps=200": "num_steps=40",
    "validation_bleu_sentences=200": "validation_bleu_sentences=20",
    'split="test")': 'pairs=tj.load_pairs(config.data, "test").read(0, 20))',
}


def shorten(notebook) -> None:
    for whole, part in SHORTER.items():
        assert sum(whole in cell.source for cell in notebook.cells) == 1, whole
        for cell in notebook.cells:
            cell.source = cell.source.replace(whole, part)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, tmp_path, monkeypatch):
    # Its data sets and runs are its own, and its kernel has the one real device.
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tensorflow_datasets"))
    monkeypatch.setenv("XLA_FLAGS", " ".join(FEWER_OPTIMISATIONS))
    notebook = nbformat.read(path, as_version=4)
    shorten(notebook)
    nbclient.NotebookClient(
        notebook, timeout=1_200, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(images) == 3
