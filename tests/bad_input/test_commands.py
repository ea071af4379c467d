"""Commands, flags and their values; files that hold settings."""

import pytest
from refusals import CONFIG

TRAIN = "train config.toml --workdir new"
TRANSLATE = "translate run --input in.txt"
EVALUATE = "evaluate run --source validation.source --target validation.target"
SCORE = "score run --source validation.source --target validation.target"
BLEU = "bleu --hypothesis validation.source --reference validation.target"
INT32 = "must be at most 2147483647"
FLOAT32 = "must be between 1e-30 and 1e+30"

# A command, and what the line has to say: the culprit, and the remedy.
ROWS = {
    # Commands.
    "trian config.toml": ("trian is not a command", "did you mean train?"),
    "xyzzy": ("xyzzy is not a command", "see transformer-jax --help"),
    "--workdir new": ("--workdir", "--help"),
    "train": ("CONFIG", "transformer-jax train --help"),
    "train config.toml": ("--workdir", "see transformer-jax train --help"),
    "train config.toml more --workdir new": ("more", "train --help"),
    "train wmt15 --workdir new": ("wmt15: no such file", "multi30k_en_de"),
    "train nope.toml --workdir new": ("nope.toml", "No such file"),
    "train . --workdir new": (".: the configuration cannot be read", "directory"),
    "train '' --workdir new": ("the configuration", "Is a directory"),
    # Flags of other commands, and flags without their value.
    f"{TRAIN} --beam-size 3": ("--beam-size", "--decoding.beam-size"),
    f"{TRAIN} --input in.txt": ("no option --input", "train --help"),
    f"{TRAIN} --workdir": ("--workdir", "Missing value"),
    f"{TRAIN} --from-step -1": ("new has no checkpoints", "train into it first"),
    f"{TRAIN} --from-step 7": ("new has no checkpoints", "train into it first"),
    f"{TRAIN} --num-processes 2": ("--num-processes", "--distributed: add it"),
    f"{TRANSLATE} more.txt": ("more.txt", "did you mean --input more.txt?"),
    f"{TRANSLATE} --source in.txt": ("no option --source", "--max-source-tokens"),
    f"{TRANSLATE} --decoding.beam-size 3": (
        "no option --decoding.beam-size",
        "translate --help",
    ),
    f"{TRANSLATE} --model.d-model 8": ("no option --model.d-model", "--help"),
    f"{SCORE} --beam-size 3": ("no option --beam-size", "score --help"),
    f"{SCORE} --n-best 3": ("no option --n-best", "score --help"),
    "parse run --min-length 3": ("no option --min-length", "see transformer-jax parse"),
    "parse run --prefix in.txt": ("--prefix", "see transformer-jax parse --help"),
    "trees": ("name files of trees", "wsj/23/*.mrg"),
    "trees run": ("run is a directory", "name its files, as run/*"),
    "trees no.mrg": ("no.mrg: no such file", "as seen from /"),
    "evalb --gold no --test in.txt": ("no: no such file", "expected a text file"),
    "info run --checkpoint 5": ("no option --checkpoint", "info --help"),
    # Values.
    f"{TRANSLATE} --beam-size many": ("--beam-size", "'many'"),
    f"{TRANSLATE} --beam-size=": ("--beam-size", "''"),
    f"{TRANSLATE} --beam-size 2.5": ("--beam-size", "'2.5'"),
    f"{TRANSLATE} --beam-size 0": ("--beam-size 0", "at least 1"),
    f"{TRANSLATE} --beam-size 1000000000": ("--beam-size 1000000000", "smaller beam"),
    f"{TRANSLATE} --beam-size 1000000000000": ("--beam-size 1000000000000", INT32),
    f"{TRANSLATE} --max-extra-length 1000000000": (
        "--max-extra-length 1000000000",
        "shorter outputs",
    ),
    f"{TRANSLATE} --sampling --n-best 1000000000": ("1000000000", "GiB"),
    f"{TRANSLATE} --n-best 0": ("--n-best 0", "at least 1"),
    f"{TRANSLATE} --n-best 50": ("--n-best 50", "at most beam_size=4"),
    f"{TRANSLATE} --chunk-lines 0": ("--chunk-lines 0", "at least 1"),
    f"{TRANSLATE} --top-k 5": ("--top-k 5", "set --sampling"),
    f"{TRANSLATE} --sampling --top-p 2": ("--top-p 2.0", "at most 1"),
    f"{TRANSLATE} --sampling --temperature 1e-60": ("--temperature 1e-60", FLOAT32),
    f"{TRANSLATE} --sampling --seed 4294967296": ("--seed 4294967296", "at most"),
    f"{TRANSLATE} --length-penalty-alpha nan": ("--length-penalty-alpha nan", "least"),
    f"{TRANSLATE} --length-penalty-alpha 1e30": ("--length-penalty-alpha 1e+30", "10"),
    f"{TRANSLATE} --length-penalty gnm": ("'gnm'", "'gnmt', 'length', 'none'"),
    f"{TRANSLATE} --max-source-tokens 1": ("--max-source-tokens 1", "2, or none"),
    f"{TRANSLATE} --compute-dtype float16": ("'float16'", "Expected one of"),
    f"{TRANSLATE} --format xml": ("'xml'", "'text', 'jsonl'"),
    f"{TRANSLATE} --on-error ignore": ("'ignore'", "'stop', 'skip'"),
    f"{TRANSLATE} --continue": ("standard output", "give a file as --output"),
    f"{EVALUATE} --split dev": ("'dev'", "'train', 'validation', 'test'"),
    f"{EVALUATE} --examples -1": ("--examples -1", "at least 0"),
    f"{EVALUATE} --tokenizer moses": ("'moses'", "'13a'"),
    f"{BLEU} --protocol rouge": ("'rouge'", "'multi30k'"),
    f"{BLEU} --tokenizer nope": ("'nope'", "'13a'"),
    f"{BLEU} --resamples 0 --baseline in.txt": ("in.txt has 2", "6 lines"),
    f"{BLEU} --resamples 0 --baseline train.source": ("train.source has 120", "6"),
    f"{BLEU} --resamples 0 --baseline validation.source": ("--resamples 0", "least"),
    f"{BLEU} --resamples 1000000000000 --baseline validation.source": (
        "--resamples 1000000000000",
        "at most",
    ),
    f"{BLEU} --seed -1 --baseline validation.source": ("--seed -1", "at least 0"),
    "bleu --hypothesi in.txt --reference in.txt": ("--hypothesis", "bleu --help"),
    "bleu --hypothesis in.txt": ("--reference", "bleu --help"),
    "bleu --hypothesis in.txt --reference": ("--reference", "at least one file"),
    "bench config.toml --num-steps 0": ("--num-steps 0", "at least 1"),
    "bench config.toml --warmup-steps -1": ("--warmup-steps -1", "at least 0"),
    "bench config.toml --profile in.txt": ("--profile ", "in.txt cannot be written"),
    "bench config.toml --model.d-model 2000000": ("d_model=2000000", "smaller model"),
    "bench config.toml --model.attention-kernel cudnn": ("cudnn", "use 'xla'"),
    "bench config.toml --num-processes 2": ("--num-processes", "--distributed"),
    "bench config.toml --data.batch-tokens 24": ("8 devices", "multiple"),
    "plan config.toml": ("--topology", "plan --help"),
    "plan config.toml --topology nonsense": ("--topology nonsense", "v5e:4x4"),
    "plan config.toml --topology v9:1": ("--topology v9:1", "must be a name"),
    "plan config.toml --topology=": ("--topology", "must be a name"),
    "plan config.toml --topology v5e:1x1 --num-slices 0": ("--num-slices 0", "least"),
    "plan config.toml --topology v5e:1x1 --operations -1": ("--operations -1", "0"),
    "plan config.toml --topology v5e:1x1 --search-sentences 0": (
        "--search-sentences 0",
        "at least 1",
    ),
    "plan config.toml --topology v5e:1x1 --search-sentences 1 --recommend": (
        "--recommend",
        "--search-sentences",
    ),
    "plan config.toml --topology v5e:1x1 --compare x": ("--compare x", "mesh.fsdp=4"),
    "plan config.toml --topology v5e:1x1 --compare model.nope=1": (
        "model.nope",
        "is not a setting",
    ),
    "average run --last 0": ("--last 0", "at least 1"),
    "average run --last -3": ("--last -3", "at least 1"),
    "average run --last 10": ("3 checkpoints", "10"),
    "average run --last 1000000000000": ("3 checkpoints", "1000000000000"),
    "average run --last 2.5": ("--last", "'2.5'"),
    "average run --minutes -1": ("--minutes -1.0", "at least 0"),
    "average run --minutes nan": ("--minutes nan", "at least 0"),
    "average run --minutes inf": ("1 checkpoint inf minutes apart", "--last 1"),
    "average run --steps 5": ("5", "24, 27, 36"),
    "average run --steps 36 --last 1": ("--steps names", "leave out --last"),
    "average run --last 1 --output run": (
        "--output ",
        "run is there already",
        "name another",
    ),
    "average run --last 1 --output in.txt": ("in.txt is there already", "name another"),
    "average run --last 1 --output in.txt/new": ("in.txt/new", "cannot be written"),
    "info nothing": ("nothing: no such file", "multi30k_en_de"),
    "info runs/none": ("runs/none", "No such file"),
    "info /": ("is neither a work directory nor", "config.json"),
    "info config.toml --verify": ("--verify needs a work directory", "config.toml"),
    "info in.txt": ("in.txt", "Expected"),
}


@pytest.mark.parametrize("command", ROWS)
def test_commands_are_refused(command, refusals):
    arguments = ["" if word == "''" else word for word in command.split()]
    refusals.check(*arguments, says=ROWS[command])


# What a file of settings holds, and what the line has to say.
FILES = {
    "not TOML": (b"[model\n", "a.toml: Expected ']'"),
    "JSON in a .toml": (b'{"model": {}}', "a.toml: "),
    "duplicate key": (b"[model]\nd_ff = 8\nd_ff = 9\n", "a.toml: Cannot overwrite"),
    "duplicate section": (b"[model]\n[data]\n[model]\n", "a.toml: Cannot declare"),
    "unknown section": (b"[modell]\n", "modell is not a setting; did you mean model?"),
    "key at the top": (
        b"d_model = 8\n",
        "d_model is not a setting; did you mean model",
    ),
    "key of another section": (b"[data]\nd_model = 8\n", "data.d_model is not a"),
    "misspelt key": (b"[model]\nd_modell = 8\n", "did you mean model.d_model?"),
    "section is a number": (b"model = 3\n", "model=3 must be a table of settings"),
    "section is a list": (b"[[model]]\nd_ff = 8\n", "must be a table of settings"),
    "string for a number": (b'[model]\nd_ff = "8"\n', "model.d_ff='8' must be an int"),
    "float for an integer": (b"[model]\nd_ff = 8.0\n", "d_ff=8.0 must be an integer"),
    "boolean for an integer": (b"[model]\nd_ff = true\n", "d_ff=True must be an int"),
    "list for a number": (b"[model]\nd_ff = [8]\n", "d_ff=[8] must be an integer"),
    "number for a string": (b"[data]\ntrain_split = 3\n", "must be a string"),
    "number for a path": (b"[data]\ntrain_source_path = 3\n", "must be a string or a"),
    "list without a file": (b"[data]\ntest_source_path = []\n", "names no file"),
    "numbers in a list of files": (
        b'[data]\ntest_source_path = ["a", 3]\n',
        "each item a string",
    ),
    "list for one side": (
        b'[data]\ntrain_source_path = ["a"]\n',
        "data.train_target_path is missing",
    ),
    "more files of one side": (
        b'[data]\ntrain_source_path = ["a", "b"]\ntrain_target_path = "c"\n',
        "train_source_path names 2 files (a, b) but data.train_target_path 1 (c)",
    ),
    "a data set and files": (
        b'[data]\ndataset = "d"\ntrain_source_path = ["a"]\n'
        b'train_target_path = ["b"]\n',
        "exclude each other",
    ),
    "number for a boolean": (b"[tokenizer]\nshared = 1\n", "must be true or false"),
    "date": (b"[training]\nnum_steps = 2026-01-01\n", "num_steps=datetime.date"),
    "infinity": (b"[optimizer]\nepsilon = inf\n", "epsilon=inf must be finite"),
    "too many layers": (b"[model]\nnum_encoder_layers = 3000000000\n", "at most 2147"),
    "Latin-1": (
        "[data]\ntest_split = 'ä'\n".encode("latin-1"),
        "cannot be read (",
    ),
    "UTF-16": ("[model]\n".encode("utf-16"), "cannot be read ("),
    "NUL": (b"[model]\0\n", "a.toml: "),
    "a binary file": (bytes(range(256)), "cannot be read ("),
    "two dots": (b"[model]\nd.ff = 8\n", "model.d is not a setting"),
    "without training data": (b"[model]\n", "data.train_source_path are both missing"),
    "unknown data set": (b'[data]\ndataset = "nope/xx"\n', "data.dataset"),
    "unknown pair": (b'[data]\ndataset = "cldr_translate/en_xx"\n', "en_de"),
    "data set without a name": (b'[data]\ndataset = ""\n', "data.dataset"),
    "nested deeply": (b"[model]\nd_ff = " + b"[" * 5000 + b"]" * 5000, "a.toml: "),
}


@pytest.mark.parametrize("what", FILES)
def test_files_of_settings_are_refused(what, refusals):
    contents, says = FILES[what]
    (refusals.folder / "a.toml").write_bytes(contents)
    refusals.check("train", "a.toml", "--workdir", "new", says=("a.toml", says)[1:])


JSON = {
    "cut": (b'{"model": {"d_', "a.json: "),
    "a list": (b"[]", "a.json: the configuration=[] must be a table"),
    "a number": (b"7", "a.json: the configuration=7 must be a table"),
    "null": (b"null", "a.json: the configuration=None must be a table"),
    "empty": (b"", "a.json: "),
    "NaN": (b'{"optimizer": {"epsilon": NaN}}', "a.json: "),
    "a number of many digits": (b'{"model": {"d_ff": ' + b"9" * 5000 + b"}}", "a.json"),
    "two of a name": (b'{"model": {"d_ff": 8, "d_ff": 9}}', "a.json"),
    "TOML": (CONFIG.encode(), "a.json: "),
}


@pytest.mark.parametrize("what", JSON)
def test_settings_in_json_are_refused(what, refusals):
    contents, says = JSON[what]
    (refusals.folder / "a.json").write_bytes(contents)
    refusals.check("prepare", "a.json", "--workdir", "new", says=(says,))
