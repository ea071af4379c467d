"""Small archives laid out as those of WMT14, with text that parsers trip over."""

import gzip
import io
import tarfile
from pathlib import Path

Pair = tuple[str, str]
"""A sentence in the foreign language, and in English."""

SERVERS = {
    "training-parallel-europarl-v7.tgz": "http://www.statmt.org/wmt13/",
    "training-parallel-commoncrawl.tgz": "http://www.statmt.org/wmt13/",
    "training-parallel-un.tgz": "http://www.statmt.org/wmt13/",
    "training-parallel-nc-v9.tgz": "http://www.statmt.org/wmt14/",
    "training-giga-fren.tar": "http://www.statmt.org/wmt10/",
    "dev.tgz": "http://data.statmt.org/wmt19/translation-task/",
}
_TRAINING = {  # Archive: its file of a language, {0}, paired with English, {1}-en.
    "training-parallel-europarl-v7.tgz": "training/europarl-v7.{1}-en.{0}",
    "training-parallel-commoncrawl.tgz": "commoncrawl.{1}-en.{0}",
    "training-parallel-nc-v9.tgz": "training/news-commentary-v9.{1}-en.{0}",
}
_TRAINING_FRENCH = {
    "training-parallel-un.tgz": "un/undoc.2000.{1}-en.{0}",
    "training-giga-fren.tar": "giga-fren.release2.fixed.{0}.gz",
}
_ODD: list[Pair] = [
    ("Grüße aus Köln, où l'été est « doux »", "Greetings from Köln"),
    ("", "the other side is empty"),
    ("die andere Seite ist leer", ""),
    ("", ""),
    ("\tein Tabulator\tund  zwei Leerzeichen ", " a tab\tand  two spaces\u00a0"),
    ("eine Zeile\u2028noch dieselbe\x85\r", "one line\u2028still the same\x0c\r"),
    ("   ", "only spaces on the other side"),
    ("R&amp;D &lt;b&gt; & <i>", "as it stands in the file: &quot;"),
    ("doppelt", "twice"),
    ("doppelt", "twice"),
]


def write_archives(folder: Path, language: str) -> dict[str, list[Pair]]:
    """Writes the archives that English with `language`, de or fr, is made of.

    Returns:
        The pairs of each split, with those that have an empty side.
    """
    training = _TRAINING | (_TRAINING_FRENCH if language == "fr" else {})
    pairs = {
        archive: [*_ODD, *_sentences(f"{archive[-12:-4]} {language}", 20)]
        for archive in training
    }
    for archive, name in training.items():
        members = {
            name.format(code, language): _text(pairs[archive], side)
            for side, code in enumerate((language, "en"))
        }
        other = {"training/of-another-pair.cs-en.cs": b"Nikdo to nechce.\n"}
        _write_archive(folder / archive, members | other)
    held_out = [*_ODD, *_sentences("dev", 3)], [*_ODD[:1], *_sentences("test", 4)]
    _write_archive(folder / "dev.tgz", _held_out(language, *held_out))
    train = [pair for archive in training for pair in pairs[archive]]
    return {"train": train, "validation": held_out[0], "test": held_out[1]}


def _held_out(
    language: str, newstest2013: list[Pair], newstest2014: list[Pair]
) -> dict[str, bytes]:
    members, between = {}, f"dev/newstest2014-{language}en"
    for side, code in enumerate((language, "en")):
        members[f"dev/newstest2013.{code}"] = _text(newstest2013, side)
        kind = ("src", "ref")[side]
        members[f"{between}-{kind}.{code}.sgm"] = _sgml(newstest2014, side, kind)
    return members


def _sentences(name: str, number: int) -> list[Pair]:
    return [
        (f"Satz {i} für {name} ({i * i})", f"sentence {i} of {name}")
        for i in range(number)
    ]


def _text(pairs: list[Pair], side: int) -> bytes:
    return "".join(pair[side] + "\n" for pair in pairs).encode()


def _sgml(pairs: list[Pair], side: int, kind: str) -> bytes:
    segments = "".join(
        f'<seg id="{i}">{pair[side]}</seg>\n' for i, pair in enumerate(pairs, 1)
    )
    return (
        f'<{kind}set setid="newstest2014" srclang="any">\n'
        f'<doc sysid="ref" docid="1" genre="news" origlang="en">\n<p>\n'
        f"{segments}</p>\n</doc>\n</{kind}set>\n"
    ).encode()


def _write_archive(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
        for name, contents in members.items():
            packed = gzip.compress(contents) if name.endswith(".gz") else contents
            entry = tarfile.TarInfo(name)
            entry.size = len(packed)
            archive.addfile(entry, io.BytesIO(packed))
