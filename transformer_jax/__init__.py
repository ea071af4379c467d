"""The Transformer of "Attention Is All You Need", exact, in JAX and Flax.

The names below are the public API. They load when they are first used, so that
importing the package costs next to nothing.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

# XLA's errors are shown, its warnings are not: its user cannot do anything about them.
# Read when JAX is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from transformer_jax.version import VERSION

if TYPE_CHECKING:
    from transformer_jax.checkpoints.averaging import (
        average_checkpoints as average_checkpoints,
    )
    from transformer_jax.config.data import DataConfig as DataConfig
    from transformer_jax.config.data import TokenizerConfig as TokenizerConfig
    from transformer_jax.config.decoding import DecodingConfig as DecodingConfig
    from transformer_jax.config.experiment import ExperimentConfig as ExperimentConfig
    from transformer_jax.config.experiment import MeshConfig as MeshConfig
    from transformer_jax.config.experiment import OptimizerConfig as OptimizerConfig
    from transformer_jax.config.experiment import TrainingConfig as TrainingConfig
    from transformer_jax.config.model import ModelConfig as ModelConfig
    from transformer_jax.config.reading import config_from_dict as config_from_dict
    from transformer_jax.config.reading import config_to_dict as config_to_dict
    from transformer_jax.config.reading import load_config as load_config
    from transformer_jax.data.batch import Batch as Batch
    from transformer_jax.data.pipeline import make_batches as make_batches
    from transformer_jax.data.pipeline import pack_corpus as pack_corpus
    from transformer_jax.data.prepare import prepare as prepare
    from transformer_jax.data.source import load_pairs as load_pairs
    from transformer_jax.decoding.beam_search import beam_search as beam_search
    from transformer_jax.devices.joining import (
        initialize_distributed as initialize_distributed,
    )
    from transformer_jax.devices.mesh import make_mesh as make_mesh
    from transformer_jax.devices.sharding import make_global as make_global
    from transformer_jax.errors import InputError as InputError
    from transformer_jax.evaluation.evaluate import evaluate as evaluate
    from transformer_jax.file_translation.translate import (
        translate_file as translate_file,
    )
    from transformer_jax.loss.evaluation_step import (
        make_evaluation_step as make_evaluation_step,
    )
    from transformer_jax.model.transformer import Transformer as Transformer
    from transformer_jax.scoring.alignment import align as align
    from transformer_jax.scoring.scores import score as score
    from transformer_jax.scoring.scores import score_tokens as score_tokens
    from transformer_jax.text_metrics.bleu import corpus_bleu as corpus_bleu
    from transformer_jax.text_metrics.bleu import paper_bleu as paper_bleu
    from transformer_jax.text_metrics.bleu import tokenized_bleu as tokenized_bleu
    from transformer_jax.text_metrics.quality import (
        translation_quality as translation_quality,
    )
    from transformer_jax.tokenizer.tokenizer import Tokenizer as Tokenizer
    from transformer_jax.training.metrics_file import read_metrics as read_metrics
    from transformer_jax.training.state import TrainState as TrainState
    from transformer_jax.training.state import init_state as init_state
    from transformer_jax.training.step import make_train_step as make_train_step
    from transformer_jax.training.train import TrainResult as TrainResult
    from transformer_jax.training.train import train as train
    from transformer_jax.translation.translator import Translator as Translator

_HOMES = {
    "checkpoints.averaging": ["average_checkpoints"],
    "config.data": ["DataConfig", "TokenizerConfig"],
    "config.decoding": ["DecodingConfig"],
    "config.experiment": [
        "ExperimentConfig", "MeshConfig", "OptimizerConfig", "TrainingConfig",
    ],
    "config.model": ["ModelConfig"],
    "config.reading": ["config_from_dict", "config_to_dict", "load_config"],
    "data.batch": ["Batch"],
    "data.pipeline": ["make_batches", "pack_corpus"],
    "data.prepare": ["prepare"],
    "data.source": ["load_pairs"],
    "decoding.beam_search": ["beam_search"],
    "devices.joining": ["initialize_distributed"],
    "devices.mesh": ["make_mesh"],
    "devices.sharding": ["make_global"],
    "errors": ["InputError"],
    "evaluation.evaluate": ["evaluate"],
    "file_translation.translate": ["translate_file"],
    "loss.evaluation_step": ["make_evaluation_step"],
    "model.transformer": ["Transformer"],
    "scoring.alignment": ["align"],
    "scoring.scores": ["score", "score_tokens"],
    "text_metrics.bleu": ["corpus_bleu", "paper_bleu", "tokenized_bleu"],
    "text_metrics.quality": ["translation_quality"],
    "tokenizer.tokenizer": ["Tokenizer"],
    "training.metrics_file": ["read_metrics"],
    "training.state": ["TrainState", "init_state"],
    "training.step": ["make_train_step"],
    "training.train": ["TrainResult", "train"],
    "translation.translator": ["Translator"],
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)
__version__ = VERSION


if not TYPE_CHECKING:  # where every name would be there, a misspelt one too

    def __getattr__(name: str) -> Any:
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f"{__name__}.{_HOME_OF[name]}")
        return getattr(module, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
