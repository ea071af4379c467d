"""Settings survive the way to a file and back; what is not a setting is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from transformer_jax.config.decoding import DecodingConfig
from transformer_jax.config.experiment import (
    DataConfig,
    ExperimentConfig,
    OptimizerConfig,
    TokenizerConfig,
    TrainingConfig,
)
from transformer_jax.config.model import ModelConfig
from transformer_jax.config.reading import (
    config_from_dict,
    config_to_dict,
    differences,
    load_config,
)
from transformer_jax.errors import InputError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

UNUSUAL = ExperimentConfig(
    model=ModelConfig.tiny(
        share_embeddings="none", target_vocab_size=9, attention_window=3, d_k=5
    ),
    tokenizer=TokenizerConfig(shared=False, kind="unigram"),
    data=DataConfig(dataset="a/b_c", batch_tokens=512),
    optimizer=OptimizerConfig(epsilon=1e-12, max_gradient_norm=1.5),
    training=TrainingConfig(
        checkpoint_every_minutes=None, prng="rbg", best_metric="loss"
    ),
)


@pytest.mark.parametrize("config", [ExperimentConfig(), UNUSUAL])
def test_dictionary_and_json_give_the_configuration_back(config, tmp_path):
    assert config_from_dict(config_to_dict(config)) == config
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config_to_dict(config)))
    assert load_config(path) == config


@pytest.mark.parametrize("none", ["none", "None"])
def test_toml_gives_the_configuration_back(none, tmp_path):
    # TOML and JSON write these values alike, except None, which TOML lacks.
    lines = []
    for section, settings in config_to_dict(UNUSUAL).items():
        lines.append(f"[{section}]")
        for name, value in settings.items():
            lines.append(f"{name} = {json.dumps(none if value is None else value)}")
    path = tmp_path / "unusual.toml"
    path.write_text("\n".join(lines))
    assert load_config(path) == UNUSUAL


def test_none_is_refused_where_a_setting_must_have_a_value():
    message = refusal({"training": {"keep_last": "none"}})
    assert message == "training.keep_last='none' must be an integer."


def test_what_is_left_out_has_its_default(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[optimizer]\nlearning_rate_scale = 2\nepsilon = 1e-9\n")
    config = load_config(path)
    assert config == ExperimentConfig(optimizer=OptimizerConfig(learning_rate_scale=2))
    assert isinstance(config.optimizer.learning_rate_scale, float)


@pytest.mark.parametrize(
    "path",
    sorted(CONFIGS.rglob("*.toml")),
    ids=lambda path: str(path.relative_to(CONFIGS)),
)
def test_every_configuration_of_the_repository_loads(path):
    assert isinstance(load_config(path), ExperimentConfig)


def refusal(mapping):
    with pytest.raises(InputError) as caught:
        config_from_dict(mapping)
    return str(caught.value)


def test_an_unknown_name_is_refused_with_the_nearest():
    assert refusal({"model": {"d_modell": 512}}) == (
        "model.d_modell is not a setting; did you mean model.d_model?"
    )
    assert refusal({"modle": {}}) == "modle is not a setting; did you mean model?"
    assert refusal({"mesh": {"zzz": 1}}) == (
        "mesh.zzz is not a setting; expected one of data, fsdp, tensor."
    )


@pytest.mark.parametrize(
    ("section", "name", "value", "expected"),
    [
        ("model", "d_model", "512", "an integer"),
        ("model", "d_model", 512.0, "an integer"),
        ("model", "d_model", True, "an integer"),
        ("model", "d_model", None, "an integer"),
        ("model", "d_k", "x", "an integer or left out (off)"),
        ("model", "norm", "sandwich", "one of 'post', 'pre'"),
        ("tokenizer", "shared", "no", "true or false"),
        ("tokenizer", "shared", 0, "true or false"),
        ("data", "train_split", 3, "a string"),
        ("data", "data_dir", [], "a string or left out (off)"),
        ("optimizer", "epsilon", "1e-9", "a number"),
        ("optimizer", "epsilon", False, "a number"),
        ("optimizer", "max_gradient_norm", {}, "a number or left out (off)"),
    ],
)
def test_a_value_of_another_type_is_refused(section, name, value, expected):
    message = refusal({section: {name: value}})
    assert message == f"{section}.{name}={value!r} must be {expected}."


def test_checks_of_the_sections_apply():
    assert refusal({"model": {"num_heads": 3}}).startswith("model.num_heads=3 must")
    assert refusal({"tokenizer": {"shared": False}}).startswith("tokenizer.shared=fal")


def test_a_section_must_be_a_table():
    assert refusal({"model": 3}) == "model=3 must be a table of settings."
    assert refusal([]) == "the configuration=[] must be a table of settings."


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", b"[model]\nd_model = 3\n", "a.toml: model.d_model=3 must be even"),
        ("a.toml", b"[model\n", "a.toml: Expected"),
        ("a.json", b"{", "a.json: Expecting"),
        ("a.json", b"[]", "a.json: the configuration=[] must be a table"),
        ("a.toml", b"\xff\xfe", "a.toml: the configuration cannot be read ("),
    ],
)
def test_a_file_that_is_wrong_is_named(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_config(tmp_path / name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"b\.toml: .*No such file or directory"):
        load_config(tmp_path / "b.toml")
    with pytest.raises(InputError, match="cannot be read"):
        load_config(tmp_path)


def test_differences_name_each_setting_that_changed():
    old = ExperimentConfig()
    new = old.replace(model=ModelConfig(norm="pre"), optimizer=UNUSUAL.optimizer)
    assert list(differences(old, new)) == [
        "model.norm: 'post' -> 'pre'",
        "optimizer.epsilon: 1e-09 -> 1e-12",
        "optimizer.max_gradient_norm: None -> 1.5",
    ]
    assert not list(differences(old, old))


HEXADECIMAL = "0x" + 5_000 * "f"  # Python prints no number of that many digits.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"[model]\nd_model = {HEXADECIMAL}",
            r"model.d_model=.an integer of 20,000 bits. must",
        ),
        (
            f"[mesh]\ndata = -{2**64}",
            "mesh.data=-18446744073709551616 must have at most 63",
        ),
        (
            f"[optimizer]\nepsilon = 1{'0' * 400}",
            "optimizer.epsilon=.an integer of 1,329 bits",
        ),
        (
            f"[data]\ndataset = [{HEXADECIMAL}]",
            r"data.dataset\[0\]=\(an integer of 20,000 bits\) must have at most 63",
        ),
        (
            f"[decoding]\nforbidden_tokens = [3, {HEXADECIMAL}]",
            r"decoding.forbidden_tokens\[1\]=\(an integer of 20,000 bits\) must have",
        ),
        (
            f"[[data.corpora]]\nweight = {HEXADECIMAL}",
            r"data.corpora\[0\].weight=\(an integer of 20,000 bits\) must have at most",
        ),
        (f"model = [{HEXADECIMAL}]", r"model=\(list\) must be a table of settings"),
        ('"a\\nb" = 1', r"a\\nb is not a setting"),
    ],
)
def test_values_that_nobody_can_print_are_refused_in_a_line(tmp_path, text, expected):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=expected) as raised:
        load_config(path)
    assert len(str(raised.value).splitlines()) == 1


def test_a_list_of_numbers_may_be_numpy():
    for numbers in (np.array([3, 4]), [np.int64(3), 4], (np.int32(3), np.uint8(4))):
        forbidden = DecodingConfig(forbidden_tokens=numbers).forbidden_tokens
        assert forbidden == (3, 4)
        assert [type(token) for token in forbidden] == [int, int]


def test_what_is_no_corpus_is_refused_by_its_kind():
    with pytest.raises(InputError, match=r"each item a CorpusConfig\.$"):
        DataConfig(corpora=(3,))


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(InputError, match="1 is not a setting; expected one of"):
        config_from_dict({1: 2})


@pytest.mark.parametrize("name", ["/\0", "a\ud800", "a\0.toml"])
def test_a_name_that_no_file_can_have_is_refused(name):
    with pytest.raises(InputError, match="which no file can be called"):
        load_config(name)


def test_a_name_that_is_too_long_is_refused():
    with pytest.raises(InputError, match=r"cannot be read \(File name too long\)"):
        load_config("x" * 1_000)
