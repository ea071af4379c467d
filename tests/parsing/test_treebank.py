"""Files of trees: which are read, in which order, and what is told of a bad one."""

import gc
import gzip

import pytest
from treebanks import each_development_part

from transformer_jax.errors import InputError
from transformer_jax.parsing.clean_trees import TreeCleaning
from transformer_jax.parsing.treebank import read_trees
from transformer_jax.parsing.trees import Tree


def tree(word):
    return f"( (S (NP-SBJ (NN {word}))))\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "wsj/02").mkdir(parents=True)
    (tmp_path / "wsj/10").mkdir()
    (tmp_path / "wsj/02/b.mrg").write_text("\n" + tree("b1").replace(" ", "\n  "))
    (tmp_path / "wsj/02/a.mrg").write_bytes(
        b"\xef\xbb\xbf" + (tree("a1") + tree("a2")).replace("\n", "\r\n").encode()
    )
    with gzip.open(tmp_path / "wsj/10/c.mrg.gz", "wt") as file:
        file.write(tree("c1"))
    return tmp_path / "wsj"


def words(trees):
    return [word for tree in trees for word in tree.words]


def test_files_are_read_by_pattern_and_name_and_once(folder):
    assert words(read_trees(folder / "02/a.mrg")) == ["a1", "a2"]
    assert words(read_trees(f"{folder}/02/*")) == ["a1", "a2", "b1"]
    assert words(read_trees(f"{folder}/**/*")) == ["a1", "a2", "b1", "c1"]
    several = [folder / "10/c.mrg.gz", f"{folder}/02/b*", f"{folder}/*/*"]
    assert words(read_trees(several)) == ["c1", "b1", "a1", "a2"]
    assert gc.isenabled()


def test_a_name_may_look_like_a_pattern(tmp_path):
    (tmp_path / "a[1].mrg").write_text(tree("x"))
    assert words(read_trees(tmp_path / "a[1].mrg")) == ["x"]


def test_trees_come_as_they_stand_or_cleaned(folder):
    (raw,) = read_trees(folder / "02/b.mrg")
    assert str(raw) == "( (S (NP-SBJ (NN b1))))"
    (clean,) = read_trees(folder / "02/b.mrg", TreeCleaning())
    assert str(clean) == "(TOP (S (NP (NN b1))))"


def test_what_is_left_empty_is_left_out(tmp_path):
    (tmp_path / "a").write_text(f"( (S (-NONE- *)))\n{tree('a')}")
    assert len(read_trees(tmp_path / "a")) == 2
    assert words(read_trees(tmp_path / "a", TreeCleaning())) == ["a"]


@pytest.mark.parametrize(
    ("contents", "what"),
    [
        (b"", "holds no tree; expected brackets"),
        (b" \n\n", "holds no tree; expected brackets"),
        (b"(S (NN a))\n\n(S (NN b)\n", r"line 3: the tree that begins here lacks 1 \)"),
        (b"(S (NN a))\n(S (NN \xff))\n", r"line 2: not UTF-8 \(byte 0xff"),
    ],
)
def test_a_bad_file_is_named(tmp_path, contents, what):
    (tmp_path / "good").write_text(tree("good"))
    (tmp_path / "not").write_bytes(contents)
    with pytest.raises(InputError, match=f"{tmp_path}/not.*{what}"):
        read_trees([tmp_path / "good", tmp_path / "not"])
    assert gc.isenabled()


def test_a_pattern_must_match_a_file(folder):
    with pytest.raises(InputError, match=r"3/\*.mrg: no such file, and none that"):
        read_trees([f"{folder}/02/*", f"{folder}/3/*.mrg"])
    with pytest.raises(
        InputError, match=r"wsj/02 is a directory: name its files, as .*02/\*$"
    ):
        read_trees(folder / "02")
    with pytest.raises(InputError, match="none that matches"):
        read_trees(f"{folder}/*")  # folders alone


@each_development_part
def test_a_treebank_is_written_as_it_was_read(files):
    trees = read_trees(files)
    assert [Tree.from_text(str(tree)) for tree in trees] == trees


@pytest.mark.parametrize("files", [None, 5, [1], b"one", ["one", None], [], "", [""]])
def test_what_is_no_name_of_a_file_is_refused(files):
    with pytest.raises(InputError, match=r"files=.* must be a file of trees"):
        read_trees(files)


@pytest.mark.parametrize("cleaning", [True, {"remove_traces": True}])
def test_what_is_no_cleaning_is_refused(cleaning):
    with pytest.raises(InputError, match=r"cleaning=.* must be a TreeCleaning"):
        read_trees("any.mrg", cleaning)
