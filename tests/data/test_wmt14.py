"""WMT14 from archives to sentence pairs, by the code of TFDS, without a network."""

import http.server
import json
import shutil
import sys
import threading
from pathlib import Path

import pytest
import tensorflow_datasets as tfds
import tensorflow_datasets.translate
from etils import epath
from made_up_wmt14 import SERVERS, write_archives
from tensorflow_datasets.core import shuffle
from tensorflow_datasets.core.download import checksums, downloader, resource

import transformer_jax as tj
from transformer_jax.cli import main

SPLITS = ("train", "validation", "test")


def put_as_downloaded(archives: Path, data_dir: Path) -> None:
    """Puts archives where TFDS has those it has downloaded, and does not check anew."""
    folder = epath.Path(data_dir / "downloads" / "wmt14_translate")
    folder.mkdir(parents=True)
    for archive in archives.iterdir():
        url = SERVERS[archive.name] + archive.name
        info = checksums.get_all_url_infos()[url]
        path = folder / resource.get_dl_fname(url, info.checksum)
        shutil.copy(archive, path)
        resource.write_info_file(
            url=url,
            path=path,
            dataset_name="wmt14_translate",
            original_fname=archive.name,
            url_info=info,
        )


def put_by_hand(archives: Path, data_dir: Path) -> None:
    """Puts archives where a user puts them who has fetched them in some other way."""
    manual = data_dir / "downloads" / "manual"
    manual.mkdir(parents=True)
    for archive in archives.iterdir():
        shutil.copy(archive, manual)


def record_checksums(monkeypatch, archives: Path) -> None:
    """Lets TFDS expect these small archives; it knows checksums of the real ones."""
    builder = tfds.core.registered.imported_builder_cls("wmt14_translate")
    for archive in archives.iterdir():
        url, info = SERVERS[archive.name] + archive.name, None
        info = checksums.compute_url_info(archive)
        monkeypatch.setitem(checksums.get_all_url_infos(), url, info)
        monkeypatch.setitem(builder.url_infos, url, info)


def settings(language: str, data_dir: Path, **changes) -> tj.DataConfig:
    given = {"source_language": "en", "target_language": language}
    return tj.DataConfig(
        dataset=f"wmt14_translate/{language}-en",
        data_dir=str(data_dir),
        **(given | changes),
    )


@pytest.fixture(scope="module", params=["de", "fr"])
def prepared(request, tmp_path_factory):
    """Returns the language, where its data sets are, and the pairs that were written.

    That of French is shuffled on disk, as one of more than 1 GB is.
    """
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "archives").mkdir()
    expected = write_archives(folder / "archives", request.param)
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "fr":
            patch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", 1_000)
            put_as_downloaded(folder / "archives", folder / "tfds")
        else:
            record_checksums(patch, folder / "archives")
            put_by_hand(folder / "archives", folder / "tfds")
        tj.load_pairs(settings(request.param, folder / "tfds"), "train")
    return request.param, folder / "tfds", expected


@pytest.mark.parametrize("split", SPLITS)
def test_pairs_are_those_of_the_archives(prepared, split):
    language, data_dir, expected = prepared
    pairs = tj.load_pairs(settings(language, data_dir), split)
    written = [(english, other) for other, english in expected[split]]
    assert sorted(pairs) == sorted(pair for pair in written if all(pair))
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("split", SPLITS)
def test_both_directions_have_the_same_pairs_in_the_same_order(prepared, split):
    language, data_dir, _ = prepared
    one = tj.load_pairs(settings(language, data_dir), split)
    turned = {"source_language": language, "target_language": "en"}
    other = tj.load_pairs(settings(language, data_dir, **turned), split)
    assert list(one) == [(source, target) for target, source in other]


def test_prepare_from_the_shell(prepared, tmp_path, capsys):
    language, data_dir, expected = prepared
    code = main(
        [
            *("prepare", f"wmt14_en_{language}_base", "--workdir", str(tmp_path)),
            *("--data.data-dir", str(data_dir), "--no-progress"),
            *("--model.vocab-size", "330"),
        ]
    )
    printed = capsys.readouterr()
    assert code == 0, printed.err
    counts = json.loads(printed.out)
    read = [pair for pair in expected["train"] if all(pair)]
    usable = [pair for pair in read if all(side.strip() for side in pair)]
    assert counts["num_train_pairs"] == len(usable) < len(read)
    assert counts["num_empty_pairs"] == len(read) - len(usable)
    assert counts["source_vocab_size"] == 330


class _Answers(http.server.BaseHTTPRequestHandler):
    """A proxy that answers for every server: with no file, or with another one."""

    contents = b""
    length = None

    def do_GET(self):
        self.send_response(200 if self.contents else 404)
        if self.length is not None:
            self.send_header("Content-Length", self.length)
        self.end_headers()
        self.wfile.write(self.contents)

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy(monkeypatch):
    """Returns the answers of all servers that TFDS can reach."""

    class Answers(_Answers):
        pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        yield Answers
        server.shutdown()


def refusal(data_dir, tmp_path, capsys) -> str:
    """Returns the one line that `prepare` ends with; it leaves no directory behind."""
    workdir = tmp_path / "run"
    arguments = ["prepare", "wmt14_en_de_base", "--workdir", str(workdir)]
    assert main([*arguments, "--data.data-dir", str(data_dir), "--no-progress"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert not workdir.exists()
    return line


EUROPARL = (
    "http://www.statmt.org/wmt13/training-parallel-europarl-v7.tgz (657,632,379 bytes)"
)
PLACE = "tfds/downloads/manual/training-parallel-europarl-v7.tgz"


def test_a_server_without_the_file(tmp_path, proxy, capsys):
    line = refusal(tmp_path / "tfds", tmp_path, capsys)
    assert "HTTP code: 404" in line
    assert f"fetch {EUROPARL} in another way and put it at {tmp_path}/{PLACE}," in line


def test_a_server_out_of_reach(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(downloader, "MAX_RETRIES", 0)  # It would try for minutes.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    line = refusal(tmp_path / "tfds", tmp_path, capsys)
    assert f"fetch {EUROPARL} in another way and put it at {tmp_path}/{PLACE}," in line


def test_a_server_that_breaks_off(tmp_path, proxy, capsys):
    """Its error has no address."""
    proxy.contents, proxy.length = b"a part", "1000"
    line = refusal(tmp_path / "tfds", tmp_path, capsys)
    assert "IncompleteRead" in line
    assert f"put the archive by hand into {tmp_path}/tfds/downloads/manual." in line


def test_a_server_with_another_file(tmp_path, proxy, capsys):
    proxy.contents = b"<html>moved</html>"
    line = refusal(tmp_path / "tfds", tmp_path, capsys)
    assert "NonMatchingChecksumError" in line
    assert f"expected {EUROPARL} as it was recorded: put that file at" in line


def test_a_file_by_hand_that_is_another(tmp_path, proxy, capsys):
    (tmp_path / "archives").mkdir()
    write_archives(tmp_path / "archives", "de")
    put_by_hand(tmp_path / "archives", tmp_path / "tfds")
    line = refusal(tmp_path / "tfds", tmp_path, capsys)
    assert f"expected {EUROPARL} as it was recorded: put that file at" in line
    assert f"downloaded to {tmp_path}/{PLACE}," in line


def test_the_next_archive_is_asked_for_when_the_first_is_there(
    tmp_path, proxy, monkeypatch, capsys
):
    (tmp_path / "archives").mkdir()
    write_archives(tmp_path / "archives", "de")
    record_checksums(monkeypatch, tmp_path / "archives")
    put_by_hand(tmp_path / "archives", tmp_path / "tfds")
    manual = tmp_path / "tfds/downloads/manual"
    (manual / "training-parallel-nc-v9.tgz").unlink()
    line = refusal(tmp_path / "tfds", tmp_path, capsys)
    assert f"put it at {manual}/training-parallel-nc-v9.tgz," in line


def test_sides_of_different_length(tmp_path, monkeypatch, capsys):
    (tmp_path / "archives").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("made_up_wmt14._text", lambda pairs, side: b"a\n" * (3 + side))
        write_archives(tmp_path / "archives", "de")
    put_as_downloaded(tmp_path / "archives", tmp_path / "tfds")
    line = refusal(tmp_path / "tfds", tmp_path, capsys)
    assert "Sizes do not match: 4 vs 5" in line
    assert "europarl-v7.de-en.de" in line
    assert "europarl-v7.de-en.en" in line
