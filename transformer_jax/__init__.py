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

from transformer_jax.devices import tpu_compiler
from transformer_jax.version import VERSION

# Nor about those of the compiler for TPUs on a machine that has none.
if not tpu_compiler.is_tpu_machine():
    tpu_compiler.quieten()

if TYPE_CHECKING:
    from transformer_jax.attention_pictures.figure import (
        attention_figure as attention_figure,
    )
    from transformer_jax.attention_pictures.find_heads import find_heads as find_heads
    from transformer_jax.attention_pictures.head_findings import (
        AttentionHead as AttentionHead,
    )
    from transformer_jax.attention_pictures.head_findings import (
        HeadFindings as HeadFindings,
    )
    from transformer_jax.attention_pictures.head_findings import HeadJob as HeadJob
    from transformer_jax.attention_pictures.page import AttentionPage as AttentionPage
    from transformer_jax.attention_pictures.page import attention_page as attention_page
    from transformer_jax.checkpoints.averaging import (
        average_checkpoints as average_checkpoints,
    )
    from transformer_jax.checkpoints.named_arrays import Checkpoint as Checkpoint
    from transformer_jax.checkpoints.named_arrays import (
        load_checkpoint as load_checkpoint,
    )
    from transformer_jax.checkpoints.named_arrays import (
        save_checkpoint as save_checkpoint,
    )
    from transformer_jax.checkpoints.saving_parameters import (
        save_parameters as save_parameters,
    )
    from transformer_jax.config.corpora import CorpusConfig as CorpusConfig
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
    from transformer_jax.config.treebank import TreebankConfig as TreebankConfig
    from transformer_jax.data.batch import Batch as Batch
    from transformer_jax.data.pipeline import evaluation_batches as evaluation_batches
    from transformer_jax.data.pipeline import make_batches as make_batches
    from transformer_jax.data.pipeline import pack_corpus as pack_corpus
    from transformer_jax.data.prepare import PreparedData as PreparedData
    from transformer_jax.data.source import load_pairs as load_pairs
    from transformer_jax.decoding.beam_search import beam_search as beam_search
    from transformer_jax.decoding.bracket_grammar import (
        BracketGrammar as BracketGrammar,
    )
    from transformer_jax.decoding.history import History as History
    from transformer_jax.decoding.search_state import BeamResult as BeamResult
    from transformer_jax.devices.joining import (
        initialize_distributed as initialize_distributed,
    )
    from transformer_jax.devices.mesh import make_mesh as make_mesh
    from transformer_jax.devices.sharding import make_global as make_global
    from transformer_jax.errors import InputError as InputError
    from transformer_jax.evaluation.evaluate import EvaluationResult as EvaluationResult
    from transformer_jax.evaluation.evaluate import evaluate as evaluate
    from transformer_jax.file_translation.translate import (
        FileTranslation as FileTranslation,
    )
    from transformer_jax.file_translation.translate import (
        translate_file as translate_file,
    )
    from transformer_jax.interop.ctranslate2_parity import (
        CTranslate2Parity as CTranslate2Parity,
    )
    from transformer_jax.interop.ctranslate2_parity import (
        SearchComparison as SearchComparison,
    )
    from transformer_jax.interop.export_model import Exported as Exported
    from transformer_jax.interop.export_model import export_model as export_model
    from transformer_jax.interop.import_model import Imported as Imported
    from transformer_jax.interop.import_model import import_model as import_model
    from transformer_jax.interop.parity_report import Comparison as Comparison
    from transformer_jax.interop.parity_report import ParityError as ParityError
    from transformer_jax.interop.parity_report import ParityReport as ParityReport
    from transformer_jax.interruption import Interrupted as Interrupted
    from transformer_jax.loss.batch_loss import batch_loss as batch_loss
    from transformer_jax.loss.cross_entropy import LossSums as LossSums
    from transformer_jax.loss.cross_entropy import (
        label_smoothed_cross_entropy as label_smoothed_cross_entropy,
    )
    from transformer_jax.loss.evaluation_step import (
        make_evaluation_step as make_evaluation_step,
    )
    from transformer_jax.loss.sums import mean_metrics as mean_metrics
    from transformer_jax.model.transformer import Transformer as Transformer
    from transformer_jax.parser.parser import ParsedSentence as ParsedSentence
    from transformer_jax.parser.parser import Parser as Parser
    from transformer_jax.parsing.clean_trees import TreeCleaning as TreeCleaning
    from transformer_jax.parsing.drawing import draw_tree as draw_tree
    from transformer_jax.parsing.evalb import evalb as evalb
    from transformer_jax.parsing.evalb_parameters import (
        EvalbParameters as EvalbParameters,
    )
    from transformer_jax.parsing.evalb_parameters import (
        load_evalb_parameters as load_evalb_parameters,
    )
    from transformer_jax.parsing.treebank import read_trees as read_trees
    from transformer_jax.parsing.trees import Tree as Tree
    from transformer_jax.reproduction.claims.claims import (
        measure_claim as measure_claim,
    )
    from transformer_jax.reproduction.reproduce import reproduce as reproduce
    from transformer_jax.reproduction.table_3 import (
        summarise_table_3 as summarise_table_3,
    )
    from transformer_jax.scoring.alignment import align as align
    from transformer_jax.scoring.scores import PairScore as PairScore
    from transformer_jax.scoring.scores import score as score
    from transformer_jax.scoring.scores import score_tokens as score_tokens
    from transformer_jax.text_metrics.bleu import corpus_bleu as corpus_bleu
    from transformer_jax.text_metrics.bleu import paper_bleu as paper_bleu
    from transformer_jax.text_metrics.bleu import tokenized_bleu as tokenized_bleu
    from transformer_jax.text_metrics.quality import (
        translation_quality as translation_quality,
    )
    from transformer_jax.tokenizer.tokenizer import Tokenizer as Tokenizer
    from transformer_jax.training.ending import NonFiniteError as NonFiniteError
    from transformer_jax.training.metrics_file import read_metrics as read_metrics
    from transformer_jax.training.optimizer import make_optimizer as make_optimizer
    from transformer_jax.training.optimizer import make_schedule as make_schedule
    from transformer_jax.training.preparation import prepare as prepare
    from transformer_jax.training.state import TrainState as TrainState
    from transformer_jax.training.state import init_state as init_state
    from transformer_jax.training.step import make_train_step as make_train_step
    from transformer_jax.training.train import TrainResult as TrainResult
    from transformer_jax.training.train import train as train
    from transformer_jax.translation.attention_maps import (
        AttentionMaps as AttentionMaps,
    )
    from transformer_jax.translation.results import Translation as Translation
    from transformer_jax.translation.translator import Translator as Translator

_HOMES = {
    "attention_pictures.figure": ["attention_figure"],
    "attention_pictures.find_heads": ["find_heads"],
    "attention_pictures.head_findings": ["AttentionHead", "HeadFindings", "HeadJob"],
    "attention_pictures.page": ["AttentionPage", "attention_page"],
    "checkpoints.averaging": ["average_checkpoints"],
    "checkpoints.named_arrays": ["Checkpoint", "load_checkpoint", "save_checkpoint"],
    "checkpoints.saving_parameters": ["save_parameters"],
    "config.corpora": ["CorpusConfig"],
    "config.data": ["DataConfig", "TokenizerConfig"],
    "config.decoding": ["DecodingConfig"],
    "config.experiment": [
        "ExperimentConfig", "MeshConfig", "OptimizerConfig", "TrainingConfig",
    ],
    "config.model": ["ModelConfig"],
    "config.reading": ["config_from_dict", "config_to_dict", "load_config"],
    "config.treebank": ["TreebankConfig"],
    "data.batch": ["Batch"],
    "data.pipeline": ["evaluation_batches", "make_batches", "pack_corpus"],
    "data.prepare": ["PreparedData"],
    "data.source": ["load_pairs"],
    "decoding.beam_search": ["beam_search"],
    "decoding.bracket_grammar": ["BracketGrammar"],
    "decoding.history": ["History"],
    "decoding.search_state": ["BeamResult"],
    "devices.joining": ["initialize_distributed"],
    "devices.mesh": ["make_mesh"],
    "devices.sharding": ["make_global"],
    "errors": ["InputError"],
    "evaluation.evaluate": ["EvaluationResult", "evaluate"],
    "file_translation.translate": ["FileTranslation", "translate_file"],
    "interop.ctranslate2_parity": ["CTranslate2Parity", "SearchComparison"],
    "interop.export_model": ["Exported", "export_model"],
    "interop.import_model": ["Imported", "import_model"],
    "interop.parity_report": ["Comparison", "ParityError", "ParityReport"],
    "interruption": ["Interrupted"],
    "loss.batch_loss": ["batch_loss"],
    "loss.cross_entropy": ["LossSums", "label_smoothed_cross_entropy"],
    "loss.evaluation_step": ["make_evaluation_step"],
    "loss.sums": ["mean_metrics"],
    "model.transformer": ["Transformer"],
    "parser.parser": ["ParsedSentence", "Parser"],
    "parsing.clean_trees": ["TreeCleaning"],
    "parsing.drawing": ["draw_tree"],
    "parsing.evalb": ["evalb"],
    "parsing.evalb_parameters": ["EvalbParameters", "load_evalb_parameters"],
    "parsing.treebank": ["read_trees"],
    "parsing.trees": ["Tree"],
    "reproduction.claims.claims": ["measure_claim"],
    "reproduction.reproduce": ["reproduce"],
    "reproduction.table_3": ["summarise_table_3"],
    "scoring.alignment": ["align"],
    "scoring.scores": ["PairScore", "score", "score_tokens"],
    "text_metrics.bleu": ["corpus_bleu", "paper_bleu", "tokenized_bleu"],
    "text_metrics.quality": ["translation_quality"],
    "tokenizer.tokenizer": ["Tokenizer"],
    "training.ending": ["NonFiniteError"],
    "training.metrics_file": ["read_metrics"],
    "training.optimizer": ["make_optimizer", "make_schedule"],
    "training.preparation": ["prepare"],
    "training.state": ["TrainState", "init_state"],
    "training.step": ["make_train_step"],
    "training.train": ["TrainResult", "train"],
    "translation.attention_maps": ["AttentionMaps"],
    "translation.results": ["Translation"],
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
