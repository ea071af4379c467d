"""Several processes translate one file, each a part of it."""

import pytest
from processes import answers
from tiny_runs import reversed_pairs, trained_run

from transformer_jax.translation.translator import Translator

PROGRAM = """
import jax
from pathlib import Path
from transformer_jax.devices.mesh import make_mesh
from transformer_jax.devices import sharding
from transformer_jax.config.experiment import MeshConfig
from transformer_jax.errors import InputError
from transformer_jax.file_translation.translate import translate_file
from transformer_jax.translation.translator import Translator

workdir, folder = Path(sys.argv[5]), Path(sys.argv[6])
mesh = make_mesh(MeshConfig(), jax.local_devices())
translator = Translator.from_checkpoint(workdir, mesh=mesh)
source, output = folder / "in", folder / "out"

def refused(*arguments, **options):
    try:
        translate_file(translator, *arguments, chunk_lines=2, **options)
    except InputError as error:
        return str(error)

told = [
    refused(None, output),
    refused(source, output, beam_size=rank + 1),
    # In the part of the last process only: the other keeps what it has done.
    refused(folder / "in.long", output, too_long="refuse"),
]
left = sorted(path.name for path in folder.iterdir())
# In chunks of another size, as each process finds it.
taken = translate_file(translator, source, output, too_long="refuse", resume=True)
answer({"told": told, "left": left, "lines": taken.lines})
"""


@pytest.mark.slow
def test_processes_share_a_file(tmp_path):
    sources = [source for source, _ in reversed_pairs(11, seed=5)]
    source, long = tmp_path / "in", tmp_path / "in.long"
    source.write_text("".join(f"{line}\n" for line in sources))
    long.write_text("".join(f"{line}\n" for line in [*sources[:-1], "ba " * 30]))
    found = answers(
        PROGRAM, trained_run().workdir, tmp_path, num_processes=2, num_devices=1
    )
    for rank, answer in enumerate(found):
        assert "cannot share standard input" in answer["told"][0]
        assert "decoding.beam_size is 1 in process 0 and 2 in" in answer["told"][1]
        other = "process 1 failed: " if rank == 0 else ""
        assert answer["told"][2].startswith(f"{other}{long}: line 11 has ")
        assert "out.part-00000-of-00002" in answer["left"]
        assert "out" not in answer["left"]
        # What was done before does not count: all lines but the one that stopped it.
        assert answer["lines"] == 1
    translator = Translator.from_checkpoint(trained_run().workdir)
    expected = "".join(f"{line}\n" for line in translator.translate(sources))
    assert (tmp_path / "out").read_text() == expected
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["in", "in.long", "out", "out.complete.json"]
