"""Several processes translate one file, each a part of it."""

import pytest
from processes import answers, start
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


LOST = """
import jax, signal
from transformer_jax.cli import main
from transformer_jax.devices import joining
from transformer_jax.file_translation import translate
workdir, folder = sys.argv[5:7]
joining.initialize_distributed = lambda *arguments, **named: None  # It is one already.
if rank == 1:
    translate.translate_chunk = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
files = ["--input", f"{folder}/in", "--output", f"{folder}/out", "--distributed"]
sys.exit(main(["translate", workdir, *files]))
"""


@pytest.mark.slow
def test_a_process_that_is_lost_is_named_and_how_to_go_on(tmp_path):
    (tmp_path / "in").write_text("ba\nbe\nda\ndo\n")
    run = trained_run().workdir
    first, second = start(LOST, run, tmp_path, num_processes=2, num_devices=1)
    assert (first.returncode, second.returncode) == (1, -9)
    last = first.stderr.strip().splitlines()[-1]
    assert "process 1 has ended or cannot be reached" in last
    assert last.endswith(
        "start the job again with --continue, and it goes on with what each process "
        "has done"
    )
    assert "Traceback" not in first.stderr
