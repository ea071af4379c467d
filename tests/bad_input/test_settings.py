"""Settings no run can have: sizes, rates, seeds, and what this machine cannot hold."""

import pytest

BILLION, TRILLION = 10**9, 10**12
INT32 = "must be at most 2147483647"
FLOAT32 = "must be between 1e-30 and 1e+30: it is computed with in float32"
RATE = "must be at most 0.99999994: it is 1 in float32"
MEMORY = "and each device has"
SMALLER = "take a smaller model, or more devices and mesh.fsdp"

# Settings of which 10**12 is too many for int32.
SIZES = [
    "model.vocab_size", "model.target_vocab_size", "model.num_encoder_layers",
    "model.num_decoder_layers", "model.d_model", "model.d_ff", "model.num_heads",
    "model.d_k", "model.d_v", "model.max_length", "model.attention_window",
    "model.scan_unroll", "data.source_length", "data.target_length",
    "data.batch_tokens", "data.prefetch_batches", "optimizer.warmup_steps",
    "training.num_steps", "training.accumulation_steps", "training.loss_slice_tokens",
    "training.validation_bleu_sentences", "decoding.beam_size", "decoding.min_length",
    "decoding.max_extra_length", "decoding.no_repeat_ngram_size", "decoding.top_k",
    "decoding.batch_tokens", "decoding.max_source_tokens",
]  # fmt: skip

# Flags after `train`, and what the line has to say: the culprit, and the remedy.
ROWS = {
    # Memory: of this machine, or of any.
    "--model.vocab-size=2000000000": ("model.vocab_size=2000000000", MEMORY, SMALLER),
    "--model.d-model=2000000": ("model.d_model=2000000", MEMORY, SMALLER),
    f"--model.d-ff={BILLION}": (f"model.d_ff={BILLION}", MEMORY, SMALLER),
    f"--model.d-k={BILLION}": (f"model.d_k={BILLION}", MEMORY, SMALLER),
    f"--model.d-v={BILLION}": (f"model.d_v={BILLION}", MEMORY, SMALLER),
    f"--model.num-heads={BILLION} --model.d-k=8 --model.d-v=8": (
        f"model.num_heads={BILLION}", MEMORY, SMALLER,
    ),
    f"--model.num-encoder-layers={BILLION}": (
        f"model.num_encoder_layers={BILLION}", MEMORY, SMALLER,
    ),
    f"--model.num-decoder-layers={BILLION}": (
        f"model.num_decoder_layers={BILLION}", MEMORY, SMALLER,
    ),
    f"--model.positions=learned --model.max-length={BILLION}": (
        f"model.max_length={BILLION}", MEMORY, SMALLER,
    ),
    f"--data.source-length={BILLION}": (
        f"data.source_length={BILLION}", MEMORY, "take shorter rows",
    ),
    "--data.target-length=200000000 --data.batch-tokens=1600000000": (
        "data.target_length=200000000", MEMORY, "take shorter rows",
    ),
    "--data.source-length=1000000 --data.target-length=1000000 "
    "--data.batch-tokens=8000000": (
        "packing into rows of data.source_length=1000000", "take shorter rows",
    ),
    f"--data.prefetch-batches={BILLION}": (
        f"data.prefetch_batches={BILLION}", "take fewer or smaller batches",
    ),
    f"--decoding.beam-size={BILLION}": (
        f"decoding.beam_size={BILLION}", MEMORY, "a smaller beam",
    ),
    f"--decoding.max-extra-length={BILLION}": (
        f"decoding.max_extra_length={BILLION}", MEMORY, "shorter outputs",
    ),
    # Devices.
    "--model.attention-kernel=cudnn": ("attention_kernel='cudnn'", "use 'xla'"),
    f"--mesh.data={TRILLION}": (f"mesh.data={TRILLION}", "number of devices, 8"),
    "--mesh.tensor=3": ("mesh.tensor=3", "must divide the number of devices, 8"),
    "--mesh.data=8 --mesh.fsdp=2": ("mesh.fsdp=2", "number of devices, 8"),
    "--mesh.tensor=4": ("mesh.tensor=4", "axis 'heads' of size 2"),
    "--mesh.fsdp=0": ("mesh.fsdp=0", "at least 1, or none"),
    # Numbers that are others in float32.
    "--optimizer.learning-rate-scale=1e-60": ("scale=1e-60", FLOAT32),
    "--optimizer.learning-rate-scale=1e39": ("scale=1e+39", FLOAT32),
    "--optimizer.epsilon=1e-50": ("optimizer.epsilon=1e-50", FLOAT32),
    "--optimizer.epsilon=1e39": ("optimizer.epsilon=1e+39", FLOAT32),
    "--optimizer.max-gradient-norm=1e-60": ("max_gradient_norm=1e-60", FLOAT32),
    "--optimizer.max-gradient-norm=1e300": ("max_gradient_norm=1e+300", FLOAT32),
    "--training.max-loss-ratio=1e300": ("max_loss_ratio=1e+300", FLOAT32),
    "--training.max-gradient-ratio=1e300": ("max_gradient_ratio=1e+300", FLOAT32),
    "--optimizer.beta1=0.9999999999": ("optimizer.beta1=0.9999999999", RATE),
    "--optimizer.beta2=0.9999999999": ("optimizer.beta2=0.9999999999", RATE),
    "--training.ema-decay=0.9999999999": ("ema_decay=0.9999999999", RATE),
    "--training.label-smoothing=0.999999999999": ("label_smoothing=0.9999", RATE),
    "--model.dropout-rate=0.9999999999": ("model.dropout_rate=0.9999999999", RATE),
    "--decoding.coverage-penalty=1e39": ("coverage_penalty=1e+39", FLOAT32),
    "--decoding.length-penalty-alpha=1e30": ("alpha=1e+30", "must be at most 10"),
    "--decoding.sampling --decoding.temperature=1e-45": ("temperature=1e-45", FLOAT32),
    "--decoding.sampling --decoding.temperature=1e39": ("temperature=1e+39", FLOAT32),
    "--decoding.sampling --decoding.top-p=1e-50": ("decoding.top_p=1e-50", FLOAT32),
    # Numbers that are none, or of the wrong side of 0.
    "--optimizer.learning-rate-scale=nan": ("scale=nan", "must be positive"),
    "--optimizer.learning-rate-scale=inf": ("scale=inf", "must be finite"),
    "--optimizer.learning-rate-scale=-1": ("scale=-1", "must be positive"),
    "--training.stall-minutes=0": ("stall_minutes=0", "must be positive, or none"),
    "--training.seed=100000000000000000000": ("seed=100000000000000000000", "at most"),
    "--training.seed=-1": ("training.seed=-1", "at least 0"),
    "--training.num-steps=2147483648": ("num_steps=2147483648", INT32),
    "--training.num-steps=1e5": ("--training.num-steps", "int() with base 10: '1e5'"),
    "--training.num-steps=": ("--training.num-steps", "see transformer-jax train"),
    "--training.num-steps": ("--training.num-steps", "Missing value"),
    # Settings that do not go together.
    "--training.accumulation-steps=3": ("accumulation_steps=3", "must divide", "= 8"),
    "--data.batch-tokens=23": ("data.batch_tokens=23", "data.target_length=24"),
    "--data.batch-tokens=216": ("= 9 rows", "multiple of the 8 devices"),
    "--model.num-heads=3": ("model.num_heads=3", "must divide model.d_model=16"),
    "--model.vocab-size=9999": ("model.vocab_size=9999", "set it to at most"),
    "--model.vocab-size=100": ("model.vocab_size=100", "set it above"),
    "--optimizer.cooldown-steps=3": ("cooldown_steps=3", "training.num_steps=2"),
    "--decoding.top-k=5": ("decoding.top_k=5", "set decoding.sampling=true"),
    "--data.dataset=cldr_translate/en_de": ("data.dataset", "keep one"),
    "--tokenizer.path=nope.model": ("path='nope.model'", "there is no", "name a"),
    "--tokenizer.path=in.txt": ("path='in.txt'", "is not a SentencePiece model"),
    "--tokenizer.path=run --model.vocab-size=299": ("size=299", "set it to 300"),
    "--tokenizer.path in.txt in.txt": ("two vocabularies", "tokenizer.shared=false"),
    "--tokenizer.user-symbols=<s>": ("'<s>' is the name of a token", "another"),
    # Names.
    "--model.d-modl=8": ("--model.d-modl", "did you mean --model.d-model?"),
    "--model.norm=nrom": ("'nrom'", "'post', 'pre'"),
    "--training.beam-size=3": ("--training.beam-size", "train --help"),
    "--d-model=8": ("--d-model", "train --help"),
    # Files.
    "--data.train-source-path=nope.txt": ("nope.txt", "no such file"),
    "--data.train-source-path=": ("data.train_source_path", "text file"),
    "--data.train-source-path=none": ("train_source_path", "must be named"),
    "--data.train-source-path": ("data.train_source_path=()", "names no file"),
    "--data.train-source-path train.source in.txt": ("2 files", "path 1 (train.target"),
    "--data.train-source-path train.source nope.txt"
    " --data.train-target-path train.target train.target": ("nope.txt: no such file",),
    "--data.train-source-path train.source in.txt"
    " --data.train-target-path train.target validation.target": (
        "in.txt has 2 lines", "validation.target has 6",
    ),
    "--data.train-source-path - - --data.train-target-path train.target in.txt": (
        "standard input (-) can be read once",
    ),
    "--data.train-source-path=run": ("run", "Is a directory", "expected a text file"),
    "--data.validation-target-path=in.txt": ("6 lines", "in.txt has 2"),
    "--data.train-target-path=validation.target": ("120 lines", "has 6"),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_sizes_that_are_no_int32(name, refusals):
    flag = f"--{name.replace('_', '-')}={TRILLION}"
    arguments = ["train", "config.toml", "--workdir", "new", flag]
    refusals.check(*arguments, says=(f"{name}={TRILLION}", INT32))


@pytest.mark.parametrize("flags", ROWS)
def test_settings_are_refused_before_a_run_begins(flags, refusals):
    arguments = ["train", "config.toml", "--workdir", "new", *flags.split()]
    refusals.check(*arguments, says=ROWS[flags])
