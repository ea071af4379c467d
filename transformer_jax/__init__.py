"""The Transformer of "Attention Is All You Need", exact, in JAX and Flax.

The names below are the public API. They load when they are first used, so that
importing the package costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformer_jax.averaging import average_checkpoints as average_checkpoints
    from transformer_jax.config import DataConfig as DataConfig
    from transformer_jax.config import DecodingConfig as DecodingConfig
    from transformer_jax.config import ExperimentConfig as ExperimentConfig
    from transformer_jax.config import MeshConfig as MeshConfig
    from transformer_jax.config import ModelConfig as ModelConfig
    from transformer_jax.config import OptimizerConfig as OptimizerConfig
    from transformer_jax.config import TokenizerConfig as TokenizerConfig
    from transformer_jax.config import TrainingConfig as TrainingConfig
    from transformer_jax.config_io import config_from_dict as config_from_dict
    from transformer_jax.config_io import config_to_dict as config_to_dict
    from transformer_jax.config_io import load_config as load_config
    from transformer_jax.data.batch import Batch as Batch
    from transformer_jax.data.pipeline import make_batches as make_batches
    from transformer_jax.data.pipeline import pack_corpus as pack_corpus
    from transformer_jax.data.prepare import prepare as prepare
    from transformer_jax.data.source import load_pairs as load_pairs
    from transformer_jax.data.tokenizer import Tokenizer as Tokenizer
    from transformer_jax.decoding.beam_search import beam_search as beam_search
    from transformer_jax.errors import InputError as InputError
    from transformer_jax.evaluation.bleu import corpus_bleu as corpus_bleu
    from transformer_jax.evaluation.bleu import paper_bleu as paper_bleu
    from transformer_jax.evaluation.bleu import tokenized_bleu as tokenized_bleu
    from transformer_jax.evaluation.evaluate import evaluate as evaluate
    from transformer_jax.evaluation.quality import (
        translation_quality as translation_quality,
    )
    from transformer_jax.model.transformer import Transformer as Transformer
    from transformer_jax.reporting import read_metrics as read_metrics
    from transformer_jax.scoring.alignment import align as align
    from transformer_jax.scoring.scores import score as score
    from transformer_jax.scoring.scores import score_tokens as score_tokens
    from transformer_jax.sharding import make_global as make_global
    from transformer_jax.sharding import make_mesh as make_mesh
    from transformer_jax.training.loop import TrainResult as TrainResult
    from transformer_jax.training.loop import train as train
    from transformer_jax.training.state import TrainState as TrainState
    from transformer_jax.training.state import init_state as init_state
    from transformer_jax.training.step import (
        make_evaluation_step as make_evaluation_step,
    )
    from transformer_jax.training.step import make_train_step as make_train_step
    from transformer_jax.translation.translator import Translator as Translator

_HOMES = {
    "averaging": ["average_checkpoints"],
    "config": [
        "DataConfig", "DecodingConfig", "ExperimentConfig", "MeshConfig",
        "ModelConfig", "OptimizerConfig", "TokenizerConfig", "TrainingConfig",
    ],
    "config_io": ["config_from_dict", "config_to_dict", "load_config"],
    "data.batch": ["Batch"],
    "data.pipeline": ["make_batches", "pack_corpus"],
    "data.prepare": ["prepare"],
    "data.source": ["load_pairs"],
    "data.tokenizer": ["Tokenizer"],
    "decoding.beam_search": ["beam_search"],
    "errors": ["InputError"],
    "evaluation.bleu": ["corpus_bleu", "paper_bleu", "tokenized_bleu"],
    "evaluation.evaluate": ["evaluate"],
    "evaluation.quality": ["translation_quality"],
    "model.transformer": ["Transformer"],
    "reporting": ["read_metrics"],
    "scoring.alignment": ["align"],
    "scoring.scores": ["score", "score_tokens"],
    "sharding": ["make_global", "make_mesh"],
    "training.loop": ["TrainResult", "train"],
    "training.state": ["TrainState", "init_state"],
    "training.step": ["make_evaluation_step", "make_train_step"],
    "translation.translator": ["Translator"],
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOME_OF[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
