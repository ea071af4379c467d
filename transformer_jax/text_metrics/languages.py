"""Languages by the names that people write: codes, English names, suffixes of files."""

import difflib
import os
import re
from pathlib import Path

from transformer_jax.errors import InputError

# Two-letter code, then the other names. Three-letter codes are those of ISO 639-2 and
# 639-3. The varieties of Chinese are one language here: their text is cut alike.
_NAMES = """
ar ara arb arabic
bg bul bulgarian
bn ben bengali bangla
ca cat catalan
cs ces cze czech
da dan danish
de deu ger german deutsch
el ell gre greek
en eng english
es spa spanish español
et est estonian
fa fas per pes persian farsi
fi fin finnish
fr fra fre french français
gu guj gujarati
ha hau hausa
he heb iw hebrew
hi hin hindi
hr hrv croatian
hu hun hungarian
id ind indonesian
is isl ice icelandic
it ita italian italiano
ja jpn jp japanese 日本語
ka kat geo georgian
kk kaz kazakh
km khm khmer
ko kor korean 한국어
lt lit lithuanian
lv lav lvs latvian
mr mar marathi
ms msa may malay
my mya bur burmese
ne nep npi nepali
nl nld dut dutch
no nor nob nno nb nn norwegian
pl pol polish
ps pus pbt pashto
pt por portuguese português
ro ron rum romanian
ru rus russian русский
si sin sinhala
sk slk slo slovak
sl slv slovenian slovene
sq sqi alb albanian
sr srp serbian
sv swe swedish
sw swa swh swahili
ta tam tamil
te tel telugu
th tha thai
tr tur turkish
uk ukr ukrainian
ur urd urdu
uz uzb uzn uzbek
vi vie vietnamese
xh xho xhosa
yo yor yoruba
zh zho chi cmn yue wuu lzh cn chinese mandarin cantonese 中文 汉语 漢語 普通话
zh 简体中文 繁體中文
zu zul zulu
"""
# The other two-letter codes of ISO 639-1.
_CODES = """
aa ab ae af ak am an as av ay az ba be bh bi bm bo br bs ce ch co cr cu cv cy dv dz ee
eo eu ff fj fo fy ga gd gl gn gv ho ht hy hz ia ie ig ii ik io iu jv kg ki kj kl kn kr
ks ku kv kw ky la lb lg li ln lo lu mg mh mi mk ml mn mt na nd ng nr nv ny oc oj om or
os pa pi qu rm rn rw sa sc sd se sg sh sm sn so ss st su tg ti tk tl tn to ts tt tw ty
ug ve vo wa wo yi za
"""
_BY_NAME = {code: code for code in _CODES.split()} | {
    name: line.split()[0] for line in _NAMES.splitlines() for name in line.split()
}
# Endings that say how a file is written, not in which language.
_FORMATS = (".gz", ".txt")
# Second parts of a suffix that are countries, although they are languages too.
_COUNTRIES = ("br", "sg", "tw")


def language_code(name: str) -> str:
    """Returns the two-letter code of a language, as `zh` for all forms of Chinese.

    It may be written as a code of two or three letters, with script, country or variety
    (`zh-CN`, `zho_Hans`), or by its name (`Chinese`, `Simplified Chinese`). What is not
    known comes back as it is, in lower case.
    """
    folded = name.strip().casefold()
    parts = re.findall(r"\w+", folded.replace("_", " "))
    if parts and parts[0] in _BY_NAME:
        return _BY_NAME[parts[0]]
    for part in parts[1:]:
        # Of a description, only a word counts: codes may be something else there.
        if part in _BY_NAME and (len(part) > 3 or not part.isascii()):
            return _BY_NAME[part]
    return folded


def check_language(name: str) -> None:
    """Checks that a name could be that of a language: one that is known, or a code.

    Raises:
        InputError: it could not.
    """
    code = language_code(name)
    if code in _BY_NAME or re.fullmatch(r"[a-z]{2,3}([-_]\w+)*", code):
        return
    near = difflib.get_close_matches(code, _BY_NAME, n=1)
    hint = f"did you mean {near[0]}?" if near else "give its code, as de."
    raise InputError(f"language={name!r} is not known; {hint}")


def suffix_language(path: str | os.PathLike[str]) -> str | None:
    """Returns the code of the language by which a file is named, None where it is none.

    That is the end of its name, without `.gz` and `.txt`: `fr` for `train.en-fr.fr.gz`.
    """
    suffixes = [s for s in Path(path).suffixes if s.casefold() not in _FORMATS]
    if not suffixes:
        return None
    first, *rest = re.split("[-_]", suffixes[-1][1:])
    # `.en-de` is a pair of languages, and `.en_US` one.
    if any(part in _BY_NAME and part not in (*_COUNTRIES, "cn") for part in rest):
        return None
    return _BY_NAME.get(first.casefold())
