"""Whether a work directory holds the run that is asked for, and its text."""

import itertools
import os
from typing import get_args

from transformer_jax.checkpoints.reader import StoredCheckpoints
from transformer_jax.config.corpora import CorpusConfig
from transformer_jax.config.data import DataConfig
from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.config.reading import differences, load_config
from transformer_jax.config.text_files import Split
from transformer_jax.errors import InputError
from transformer_jax.reproduction.scaling import OF_NO_WEIGHT
from transformer_jax.storage.path_names import expand_home
from transformer_jax.storage.work_directory import StoredPath
from transformer_jax.training.run_record import RunRecord
from transformer_jax.training.start import CONFIG_FILE

# What a run can be scored or gone on with in another way.
_FREE = {
    *("training.num_steps", "data.validation_source_path", "data.test_source_path"),
    *("data.validation_target_path", "data.test_target_path", "data.data_dir"),
    *("treebank.validation_paths", "treebank.test_paths", "treebank.well_formed"),
}
# What makes no difference between rows of a table, but between two runs.
_OF_A_RUN = {"training.seed", "data.dataset", "data.train_source_path"} | {
    *("data.train_target_path", "treebank.train_paths", "model.compute_dtype"),
}


def check_same_run(config: ExperimentConfig, folder: StoredPath) -> None:
    """Checks that what was begun in a work directory was begun with these settings.

    `train` goes on with many of them changed. The number of a run is that of one.

    Raises:
        InputError: they differ, or more updates were asked for before.
    """
    path = folder / CONFIG_FILE
    if not path.exists():
        return
    begun = load_config(path)
    for line in differences(begun, config):
        name = line.split(":")[0]
        if name.startswith("decoding.") or name in _FREE:
            continue
        if name in _OF_A_RUN or name not in OF_NO_WEIGHT:
            raise InputError(
                f"{folder} was begun with other settings ({line}): its number would "
                "be of those. Name another work directory, or give the same settings."
            )
    if begun.training.num_steps > config.training.num_steps:
        raise InputError(
            f"{folder} was begun with training.num_steps={begun.training.num_steps}, "
            f"more than {config.training.num_steps}: name another work directory."
        )


def trained_text(folder: StoredPath) -> str:
    """Returns the digest of the text that a run was trained on; "" if it is not known.

    It is of the text itself: files of one name may have had others in them.
    """
    checkpoints = StoredCheckpoints(folder)
    record = RunRecord.from_dict(checkpoints.run_record(checkpoints.steps[-1]))
    return record.position.training_text if record.position else ""


def check_texts_stay(config: ExperimentConfig) -> None:
    """Checks that texts can be read again: when a run goes on, and when it is scored.

    Raises:
        InputError: one is standard input, or a pipe.
    """
    texts: list[DataConfig | CorpusConfig] = [config.data, *config.data.corpora]
    for settings in texts:
        for split in get_args(Split):
            for path in itertools.chain(*settings.files(split)):
                name = expand_home(path)
                is_gone = os.path.exists(name) and not os.path.isfile(name)
                if name == "-" or (is_gone and not os.path.isdir(name)):
                    raise InputError(
                        f"{path} can be read once, and the {split} text is read again "
                        "when the run goes on or is scored: name a file."
                    )
