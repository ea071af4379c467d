"""Multi30k's text as published results have it: lowercased, normalised, tokenised.

    python benchmarks/multi30k_text.py data/multi30k data/multi30k/tok en de

reads `train.en`, `val.en`, `test_2016_flickr.en` and so on, and writes
`train.lc.norm.tok.en` and so on, as they lie in `data/task1/tok` of Multi30k's own
repository: equal to those line by line for `test_2016_flickr`, English and German.
"""

import argparse
from pathlib import Path

from sacremoses import MosesPunctNormalizer, MosesTokenizer


def main() -> None:
    """Writes one file for each file of the languages."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("raw", type=Path, help="directory of the text as it is")
    parser.add_argument("output", type=Path, help="directory of the files to write")
    parser.add_argument("languages", nargs="+", help="two letters each, as en de")
    options = parser.parse_args()
    for language in options.languages:
        if not list(options.raw.glob(f"*.{language}")):
            parser.error(f"{options.raw} has no file that ends in .{language}")
    options.output.mkdir(parents=True, exist_ok=True)
    for language in options.languages:
        normalizer, tokenizer = MosesPunctNormalizer(language), MosesTokenizer(language)
        for path in sorted(options.raw.glob(f"*.{language}")):
            lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
            text = "".join(
                tokenizer.tokenize(
                    normalizer.normalize(line.strip().lower()), return_str=True
                )
                + "\n"
                for line in lines
            )
            name = f"{path.name.removesuffix(language)}lc.norm.tok.{language}"
            (options.output / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
