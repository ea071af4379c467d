"""Languages by every form of their names, and by the suffixes of files."""

import pytest

from transformer_jax.text_metrics.languages import language_code, suffix_language

FORMS = {
    "zh": "zh ZH zh-CN zh_CN zh-Hans zh_Hans zh-Hant-TW zho zho_Hans chi cmn yue "
    "Chinese chinese Mandarin 中文 简体中文",
    "ja": "ja JA ja-JP ja_XX jpn jpn_Jpan jp Japanese 日本語",
    "ko": "ko ko-KR ko_KR kor kor_Hang Korean 한국어",
    "de": "de DE de-AT deu ger deu_Latn German Deutsch",
    "en": "en en-US en_US.UTF-8 eng eng_Latn English",
    "pt": "pt pt-BR pt_BR por Portuguese",
    "fr": "fr fr_XX fra fre French français",
}


@pytest.mark.parametrize(
    ("form", "code"),
    [
        *((form, code) for code, forms in FORMS.items() for form in forms.split()),
        ("Simplified Chinese", "zh"),
        ("Chinese (Traditional)", "zh"),
        (" Mandarin Chinese ", "zh"),
        ("Brazilian Portuguese", "pt"),
        ("Klingon", "klingon"),
        ("x-ja", "x-ja"),  # A private code, in which ja may mean anything.
        ("", ""),
    ],
)
def test_a_language_by_any_of_its_names(form, code):
    assert language_code(form) == code


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("train.fr", "fr"),
        ("a.b/train.en-fr.fr.gz", "fr"),
        ("TRAIN.DE.TXT", "de"),
        ("dev.zh-CN", "zh"),
        ("dev.zh-tw", "zh"),
        ("dev.zho_Hans", "zh"),
        ("dev.en_US", "en"),
        ("dev.pt-br", "pt"),
        ("dev.jpn", "ja"),
        ("corpus.de-en", None),  # Of both.
        ("train.source", None),
        ("train.src.gz", None),
        ("train.txt", None),
        ("train.en/text", None),
        ("fr", None),
        ("-", None),
        ("/dev/fd/3", None),
    ],
)
def test_the_language_by_which_a_file_is_named(path, code):
    assert suffix_language(path) == code
