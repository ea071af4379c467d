"""What stands in the README and the report of an exported model, and what may not."""

import dataclasses
import json

import pytest
from tiny_runs import one_layer_config, reversed_pairs

import transformer_jax as tj
from transformer_jax.interop.ctranslate2_readme import readme
from transformer_jax.interop.export_model import write_report
from transformer_jax.interop.model_card import ModelCard
from transformer_jax.tokenizer.tokenizer import train_tokenizer

yaml = pytest.importorskip("yaml")


def head_of(languages, license):
    config = one_layer_config(
        data__source_language=languages[0], data__target_language=languages[1]
    )
    card = ModelCard("a run", config, "a checkpoint", {}, license, None)
    _, head, page = card.text().split("---\n", 2)
    return yaml.safe_load(head), page


@pytest.mark.parametrize(
    "languages",
    [("no", "de"), ("en: x", "- y"), ("en\nlicense: mit", "#"), ('"', "\u2028漢\x7f")],
)
def test_the_head_of_a_readme_has_what_was_given(languages):
    found, page = head_of(languages, 'other: "mine" # 1')
    assert found["language"] == list(languages)
    assert found["license"] == 'other: "mine" # 1'
    assert "\n---" not in page
    assert "license" not in head_of(languages, None)[0]


@pytest.mark.parametrize("license", ["", "  ", "a\nb", "a\x07"])
@pytest.mark.parametrize("format", ["hugging-face", "ctranslate2"])
def test_what_is_no_license_is_refused(license, format, tmp_path):
    with pytest.raises(tj.InputError, match=r"license='.*is no name of a license"):
        tj.export_model("none", tmp_path / "out", license=license, format=format)


def test_the_readme_for_ctranslate2_names_the_license():
    config = one_layer_config()
    tokenizer = train_tokenizer(reversed_pairs(200), config.tokenizer, config.model)
    page = readme(config, tokenizer, "float32", "a run", "cc-by-4.0", None)
    assert "License: cc-by-4.0." in page
    assert "License" not in readme(config, tokenizer, "float32", "a run", None, None)


def test_fewer_bits_are_equal_where_all_outputs_are(tmp_path):
    same = tj.SearchComparison(8, 8, 0, 0, 0, 1e-2)
    found = tj.CTranslate2Parity("a program", "int8", 8, 1e-2, same, same, same)
    assert found.to_dict()["equal"] is True
    assert not dataclasses.replace(found, quantization="float32").to_dict()["equal"]
    other = tj.SearchComparison(8, 7, 0, 0, 1, 1e-2)
    assert dataclasses.replace(found, beam=other).to_dict()["equal"] is False
    write_report(found, tmp_path, imported_from="a\udce9b")  # A name of any bytes.
    stored = json.loads((tmp_path / "parity.json").read_text())
    assert stored["imported_from"] == "a\udce9b"
