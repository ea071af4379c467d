"""The README of an exported model: what it is, how it is used, how good it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformer_jax.config.experiment import ExperimentConfig
from transformer_jax.interop.parity_report import ParityReport
from transformer_jax.version import VERSION

# Results of a validation that say how good a model is, and how they are written.
_SCORES = {
    "bleu": ("BLEU", ".1f"),
    "chrf": ("chrF", ".1f"),
    "loss": ("loss", ".3f"),
    "perplexity": ("perplexity", ".2f"),
}


@dataclass(frozen=True)
class ModelCard:
    """What the README says."""

    name: str
    config: ExperimentConfig
    checkpoint: str
    """Which one it is, for people."""
    validation: Mapping[str, Any]
    """Results of the checkpoint; empty where it has none."""
    license: str | None
    parity: ParityReport | None

    def text(self) -> str:
        """Returns the page, in Markdown with a head in YAML."""
        parts = [
            self._head(),
            f"# {self.name}\n",
            self._description(),
            "## Use\n",
            _USE,
            "## Search\n",
            self._search(),
            "## Scores\n",
            self._scores(),
            "## Parity\n",
            self._parity(),
        ]
        return "\n".join(parts)

    def _head(self) -> str:
        data = self.config.data
        lines = ["---", "language:", f"- {_quote(data.source_language)}"]
        if data.target_language != data.source_language:
            lines.append(f"- {_quote(data.target_language)}")
        if self.license is not None:
            lines.append(f"license: {_quote(self.license)}")
        lines += ["library_name: transformers", "pipeline_tag: translation"]
        return "\n".join([*lines, "tags:", "- translation", "- marian", "---", ""])

    def _description(self) -> str:
        data, model = self.config.data, self.config.model
        return (
            f"Translates from {_line(data.source_language)} to "
            f"{_line(data.target_language)}. A "
            'Transformer of "Attention Is All You Need" with '
            f"{model.num_encoder_layers} encoder and {model.num_decoder_layers} "
            f"decoder layers, d_model {model.d_model}, d_ff {model.d_ff}, "
            f"{model.num_heads} heads, {model.vocab_size} pieces. Exported by "
            f"transformer_jax {VERSION}, {self.checkpoint}.\n"
        )

    def _search(self) -> str:
        decoding = self.config.decoding
        text = (
            f"`generation_config.json` has the run's search: beam {decoding.beam_size}"
        )
        if decoding.length_penalty == "gnmt":
            return (
                f"{text}. The run divides scores by ((5 + length) / 6) ** "
                f"{decoding.length_penalty_alpha:g}, which transformers does not have; "
                "here it is length ** alpha with the same alpha, so that of several "
                "hypotheses another may be the best. Greedy search is the same.\n"
            )
        if decoding.length_penalty == "none":
            return f"{text}, without a length penalty.\n"
        return f"{text}, scores over length ** {decoding.length_penalty_alpha:g}.\n"

    def _scores(self) -> str:
        rows = [
            f"| {name} | {self.validation[key]:{spec}} |"
            for key, (name, spec) in _SCORES.items()
            if isinstance(self.validation.get(key), int | float)
        ]
        if not rows:
            return "No validation of this checkpoint is known.\n"
        head = [
            "On the run's validation set:\n",
            "| metric | value |",
            "|---|---|",
        ]
        return "\n".join([*head, *rows]) + "\n"

    def _parity(self) -> str:
        report = self.parity
        if report is None:
            return (
                "Not compared with the program it was exported from: that was turned "
                "off.\n"
            )
        return (
            f"Compared with the program it was exported from, by {report.program}, on "
            f"{report.sentences} sentences (`parity.json`): logits differ by at most "
            f"{report.logits_difference:.1e} of their standard deviation; "
            f"{report.greedy.equal} of {report.greedy.compared} outputs of greedy "
            f"search and {report.beam.equal} of {report.beam.compared} of beam "
            f"{report.beam_size} are the same.\n"
        )


def _quote(text: str) -> str:
    """Returns text as YAML has it: `no` would be false, a colon begins a value."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _line(text: str) -> str:
    return " ".join(text.encode(errors="replace").decode().split())


_USE = """```python
from transformers import MarianMTModel, MarianTokenizer

tokenizer = MarianTokenizer.from_pretrained("DIRECTORY")
model = MarianMTModel.from_pretrained("DIRECTORY")
inputs = tokenizer(["A sentence."], return_tensors="pt", padding=True)
outputs = model.generate(**inputs)
print(tokenizer.batch_decode(outputs, skip_special_tokens=True))
```
"""
