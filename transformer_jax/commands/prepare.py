"""The command `prepare`."""

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.output import print_json
from transformer_jax.commands.settings import PAPER_BASE, ConfigFile, Settings
from transformer_jax.commands.startup import show_log


def prepare(
    config: ConfigFile,
    /,
    workdir: str,
    progress: bool = True,
    settings: Settings = PAPER_BASE,
) -> None:
    """Make the data and the tokenizer of a work directory, without training.

    Args:
        config: TOML file with settings, or a name, as multi30k_en_de.
        workdir: directory of the run.
        progress: show progress on standard error.
    """
    show_log(progress)
    from transformer_jax.training.preparation import prepare

    with flags_in_errors({"workdir=": "--workdir "}):
        data = prepare(settings, workdir)
    names, sizes = settings.data.corpus_names, data.train.corpus_sizes
    of_corpora = dict(zip(names, sizes, strict=True)) if sizes else {}
    print_json(
        {
            "num_train_pairs": data.train.num_pairs,
            **({"num_corpus_pairs": of_corpora} if of_corpora else {}),
            "num_empty_pairs": data.train.num_empty,
            "source_tokens": data.train.source.num_tokens,
            "target_tokens": data.train.target.num_tokens,
            "source_vocab_size": data.tokenizer.source_vocab_size,
            "target_vocab_size": data.tokenizer.target_vocab_size,
        }
    )
