"""Texts that cannot be read, or whose sides do not belong together."""

import gzip

import pytest

GZIP = gzip.compress(b"ba be\n" * 1_000, mtime=0)

# A file `bad.txt` or `bad.gz`, and what every command says of it.
FILES = {
    "UTF-16": ("bad.txt", "ba be\n".encode("utf-16"), "line 1: not UTF-8", "to UTF-8"),
    "UTF-32": ("bad.txt", "ba\n".encode("utf-32"), "line 1: not UTF-8", "to UTF-8"),
    "Latin-1": ("bad.txt", b"ba\nb\xe4\n", "line 2: not UTF-8", "to UTF-8"),
    "cut letter": ("bad.txt", "ba\nä".encode()[:-1], "line 2: not UTF-8", "to UTF-8"),
    "surrogate": ("bad.txt", b"\xed\xa0\x80\n", "line 1: not UTF-8", "to UTF-8"),
    "binary": ("bad.txt", bytes(range(256)), "not UTF-8", "to UTF-8"),
    "gzip without its suffix": ("bad.txt", GZIP, "not UTF-8", "to UTF-8"),
    "no gzip": ("bad.gz", b"ba be\n", "not a whole gzip file", "anew"),
    "cut gzip": ("bad.gz", GZIP[:-9], "not a whole gzip file", "anew"),
    "short gzip": ("bad.gz", GZIP[:5], "not a whole gzip file", "anew"),
    "damaged gzip": (
        "bad.gz",
        GZIP[:20] + b"\xff\xff\xff" + GZIP[23:],
        "gzip file",
        "anew",
    ),
    "gzip of UTF-16": (
        "bad.gz",
        gzip.compress("ba\n".encode("utf-16")),
        "not UTF-8",
        "to UTF-8",
    ),
}

# The commands that read a text, as it stands in their arguments.
READERS = [
    "translate run --input {}",
    "translate run --input in.txt --prefixes {}",
    "score run --source {} --target in.txt",
    "score run --source in.txt --target {}",
    "evaluate run --source {} --target in.txt",
    "bleu --hypothesis {} --reference in.txt",
    "bleu --hypothesis in.txt --reference in.txt {}",
    "bleu --hypothesis in.txt --reference in.txt --baseline {}",
    "train config.toml --workdir new --data.train-source-path {}",
    "prepare config.toml --workdir new --data.validation-target-path {}",
]


@pytest.mark.parametrize("what", FILES)
def test_a_text_that_is_none(what, refusals):
    name, contents, *says = FILES[what]
    (refusals.folder / name).write_bytes(contents)
    refusals.check("translate", "run", "--input", name, says=(name, *says))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", ["Latin-1", "cut gzip"])
def test_every_reader_says_so(what, reader, refusals):
    name, contents, *says = FILES[what]
    (refusals.folder / name).write_bytes(contents)
    refusals.check(*reader.format(name).split(), says=(name, *says))


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_names_a_file_that_is_not_there(reader, refusals):
    says = "nope.txt", "no such file"
    refusals.check(*reader.format("nope.txt").split(), says=says)


# Commands whose files do not belong together.
SIDES = {
    "score run --source in.txt --target train.target": ("in.txt has 2 lines", "120"),
    "evaluate run --source in.txt --target train.target": ("in.txt has 2", "120"),
    "evaluate run --source in.txt": ("--source and --target", "name both files"),
    "evaluate run --target in.txt": ("--source and --target", "name both files"),
    "evaluate run": ("no test data", "data.test_source_path"),
    "score run --source in.txt": ("--target", "score --help"),
    "bleu --hypothesis in.txt --reference train.target": ("in.txt has 2 lines", "120"),
    "bleu --hypothesis in.txt --reference in.txt train.source": ("in.txt has 2", "120"),
    "bleu --hypothesis empty.txt --reference empty.txt": (
        "empty.txt is empty",
        "score",
    ),
    "score run --source empty.txt --target empty.txt": (
        "are empty",
        "no sentence pair",
    ),
    "evaluate run --source empty.txt --target empty.txt": ("are empty", "no sentence"),
    "translate run --input in.txt --prefixes train.source": (
        "train.source has 120 lines",
        "one prefix for each line",
    ),
    "translate run --input in.txt --output in.txt": ("in.txt is an input", "another"),
    "translate run --input in.txt --output link.txt": ("link.txt is an input", "name"),
    "translate run --input in.txt --prefixes blank.txt --output blank.txt": (
        "blank.txt is an input",
        "name another output",
    ),
    "score run --source in.txt --target in.txt --output in.txt": (
        "in.txt is an",
        "name",
    ),
    "evaluate run --source in.txt --target blank.txt --output blank.txt": (
        "blank.txt is an input",
        "name another output",
    ),
    "trees one.mrg --output one.mrg": ("one.mrg is an input", "name another output"),
    "trees *.mrg --output link.mrg": ("link.mrg is an input", "name another output"),
    "evaluate run --trees one.mrg --output one.mrg": ("one.mrg is an input", "another"),
    "translate run --input in.txt --output no/out.txt": ("no/out.txt", "is not there"),
    "translate run --input in.txt --output run": (
        "run: cannot be written",
        "directory",
    ),
    "score run --source in.txt --target in.txt --output no/out": (
        "no/out",
        "not there",
    ),
    "evaluate run --source in.txt --target in.txt --output no/out": ("no/out", "there"),
    "translate run --input run": ("run: cannot be read", "expected a text file"),
    "translate run --input in.txt --output gs://bucket/out": (
        "gs://bucket/out",
        "disk",
    ),
    "translate run --input gs://bucket/in": ("gs:/bucket/in", "no such file"),
    "train config.toml --workdir new --data.train-source-path blank.txt "
    "--data.train-target-path in.txt": ("no pair", "check the data section"),
    "train config.toml --workdir new --data.train-source-path empty.txt "
    "--data.train-target-path empty.txt": ("empty.txt are empty", "no sentence pair"),
    "train config.toml --workdir new --data.train-source-path one.txt "
    "--data.train-target-path one.txt": ("model.vocab_size=300", "give more text"),
    "train config.toml --workdir new --data.validation-source-path empty.txt "
    "--data.validation-target-path empty.txt": ("are empty", "no sentence pair"),
    "train config.toml --workdir new --data.validation-source-path blank.txt "
    "--data.validation-target-path in.txt": ("no pair", "check the data section"),
}


@pytest.mark.parametrize("command", SIDES)
def test_texts_that_do_not_belong_together(command, refusals):
    (refusals.folder / "empty.txt").touch()
    (refusals.folder / "blank.txt").write_text("\n  \n")
    (refusals.folder / "one.txt").write_text("ba\n")
    (refusals.folder / "link.txt").symlink_to("in.txt")
    (refusals.folder / "one.mrg").write_text("(TOP (S (NN ba)))\n")
    link = refusals.folder / "link.mrg"
    if not link.is_symlink():
        link.symlink_to("one.mrg")
    refusals.check(*command.split(), says=SIDES[command])


# Arguments that read standard input, what it holds, and what the line has to say.
STREAMS = {
    "not UTF-8": ("translate run", b"b\xe4\n", "standard input: line 1", "UTF-8"),
    "UTF-16": ("translate run --input -", "ba\n".encode("utf-16"), "standard", "UTF-8"),
    "gzip": ("translate run", GZIP, "standard input", "UTF-8"),
    "read twice": (
        "translate run --input - --prefixes -",
        b"ba\n",
        "can be read once",
        "name files",
    ),
    "both sides": (
        "score run --source - --target -",
        b"ba\n",
        "read once",
        "name files",
    ),
    "references": ("bleu --hypothesis - --reference -", b"ba\n", "read once", "name"),
    "fewer lines": ("bleu --hypothesis - --reference in.txt", b"ba\n", "1 lines", "2"),
    "no line": ("bleu --hypothesis - --reference in.txt", b"", "0 lines", "in.txt"),
    "other number": ("score run --source - --target in.txt", b"ba\n", "1 lines", "2"),
    "no pairs": ("evaluate run --source - --target in.txt", b"", "0 lines", "2"),
    "continued": ("translate run --continue", b"ba\n", "standard output", "--output"),
    "prefixes": (
        "translate run --prefixes in.txt",
        b"ba\n",
        "in.txt and standard",
        "one prefix",
    ),
    "bad source": (
        "score run --source - --target in.txt",
        b"a\n\xff\n",
        "line 2",
        "UTF",
    ),
}


@pytest.mark.parametrize("what", STREAMS)
def test_standard_input_that_cannot_be_used(what, refusals):
    command, contents, *says = STREAMS[what]
    refusals.check(*command.split(), says=tuple(says), stdin=contents)
