"""What becomes of an output: complete ones stay, links and pipes are what they were."""

import gzip
import os
import stat
import threading

import pytest
from test_translate import files, lines_of, write

from transformer_jax.errors import InputError
from transformer_jax.file_translation.translate import translate_file


def test_what_is_complete_is_not_done_again(translator, sources, tmp_path, caplog):
    """A job script that always says --continue succeeds twice, on the same input."""
    source, output = write(tmp_path / "in", sources[:2]), tmp_path / "out"
    assert translate_file(translator, source, output, resume=True).lines == 2
    was = output.stat().st_mtime_ns
    assert translate_file(translator, source, output, resume=True).lines == 0
    assert output.stat().st_mtime_ns == was
    assert f"{output} is complete" in caplog.text
    with pytest.raises(InputError, match="out was made with n_best=1, not 2"):
        translate_file(translator, source, output, resume=True, n_best=2)
    write(source, sources[:3])
    with pytest.raises(InputError, match="out is complete, but of another input"):
        translate_file(translator, source, output, resume=True)
    caplog.clear()
    translate_file(translator, source, output)
    assert f"{output} is there already, and will be replaced" in caplog.text
    assert files(tmp_path) == ["in", "out"]
    with pytest.raises(InputError, match="nothing says what it was made of"):
        translate_file(translator, source, output, resume=True)
    output.write_bytes(b"")  # As mktemp makes it.
    assert translate_file(translator, source, output, resume=True).lines == 3
    output.write_text("edited by hand")
    with pytest.raises(InputError, match="nothing says what it was made of"):
        translate_file(translator, source, output, resume=True)


@pytest.mark.slow
def test_an_output_in_gz_is_resumed(translator, sources, tmp_path):
    source, output = write(tmp_path / "in", [*sources, "ba " * 30]), tmp_path / "o.gz"
    options = {"too_long": "refuse", "chunk_lines": 4, "forbidden_tokens": (5, 9)}
    with pytest.raises(InputError, match="line 23"):
        translate_file(translator, source, output, **options)
    write(source, sources)
    translate_file(translator, source, output, resume=True, **options)
    text = gzip.decompress(output.read_bytes()).decode()
    assert text.splitlines() == translator.translate(sources)


def test_links_and_modes_of_outputs_stay(translator, sources, tmp_path):
    source, output = write(tmp_path / "in", sources[:2]), tmp_path / "out"
    output.touch(mode=0o600)
    (tmp_path / "link").symlink_to("out")
    translate_file(translator, source, tmp_path / "link")
    assert lines_of(output) == translator.translate(sources[:2])
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert (tmp_path / "link").is_symlink()
    assert files(tmp_path) == ["in", "link", "out"]


def test_a_pipe_gets_the_lines(translator, sources, tmp_path):
    source, pipe = write(tmp_path / "in", sources), tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="pipe cannot be continued"):
        translate_file(translator, source, pipe, resume=True)
    read = []
    reader = threading.Thread(target=lambda: read.append(lines_of(pipe)))
    reader.start()
    translate_file(translator, source, pipe, chunk_lines=4)
    reader.join()
    assert read == [translator.translate(sources)]
    assert files(tmp_path) == ["in", "pipe"]
