"""Sentence pairs by index, from a TFDS translation data set."""

import difflib
from collections.abc import Iterable
from typing import Any

from transformer_jax.data.sentence_pairs import Pair, SentencePairs
from transformer_jax.data.tfds_download import prepare_dataset
from transformer_jax.errors import InputError
from transformer_jax.storage.retries import retry
from transformer_jax.storage.work_directory import is_remote


class TfdsPairs(SentencePairs):
    """Records of a TFDS data source, read in one direction of its languages.

    They come as bytes: TFDS would decode each feature apart, ten times as slowly.
    """

    def __init__(
        self,
        records: Any,
        name: str,
        languages: tuple[str, str],
        *,
        remote: bool = False,
    ):
        self.name, self._is_remote = name, remote
        self._records = records
        self._source, self._target = languages

    def __len__(self) -> int:
        return len(self._records)

    def read(self, start: int, stop: int) -> list[Pair]:
        from tensorflow_datasets.proto import tf_example_pb2

        wanted = list(range(start, stop))
        try:
            records = retry(
                self.name,
                lambda: self._records.__getitems__(wanted),
                remote=self._is_remote,
            )
        except Exception as error:  # Of any type, as the library's.
            raise InputError(
                f"{self.name}: records {start} to {stop - 1} cannot be read "
                f"({' '.join(str(error).split()):.200})."
            ) from error
        parse = tf_example_pb2.Example.FromString
        pairs = []
        for record in records:
            features = parse(record).features.feature
            source, target = (
                features[language].bytes_list.value[0].decode()
                for language in (self._source, self._target)
            )
            pairs.append((source, target))
        return pairs


def from_tfds(
    dataset: str,
    split: str,
    *,
    source_language: str,
    target_language: str,
    data_dir: str | None = None,
) -> SentencePairs:
    """Returns a split of a TFDS translation data set, in either direction.

    If it is absent, the data set is downloaded and prepared as ArrayRecord, without
    TensorFlow. `dataset` is its name with its configuration, as
    wmt14_translate/de-en; `split` may be a part, as train[:99%].

    Raises:
        InputError: there is no such data set, configuration, language or split, or the
            data set cannot be prepared.
    """
    builder = _make_builder(dataset, data_dir)
    _check_languages(builder, dataset, source_language, target_language)
    records = _open_records(builder, dataset, split)
    name = f"{dataset} {split}, {source_language} to {target_language}"
    remote = is_remote(builder.data_dir)
    return TfdsPairs(records, name, (source_language, target_language), remote=remote)


def _make_builder(dataset: str, data_dir: str | None) -> Any:
    import tensorflow_datasets as tfds
    import tensorflow_datasets.translate

    import transformer_jax.cldr_corpus.builder  # noqa: F401  (registers cldr_translate)

    name, _, config = dataset.partition("/")
    # Not tfds.list_builders(), which asks the network for data sets of the community.
    known = tfds.core.registered.list_imported_builders()
    if name not in known:
        translations = [other for other in known if "translate" in other]
        raise InputError(
            f"dataset={dataset!r} is no TFDS data set."
            f"{_offer(name, known, translations)}"
        )
    builder_class = tfds.core.registered.imported_builder_cls(name)
    configs = list(builder_class.builder_configs)
    if config not in (configs or [""]):
        wrong = f"configuration {config!r} of" if config else "no configuration of"
        raise InputError(
            f"dataset={dataset!r} names {wrong} {name}.{_offer(config, configs)}"
        )
    return builder_class(config=config or None, data_dir=data_dir)


def _check_languages(builder: Any, dataset: str, source: str, target: str) -> None:
    import tensorflow_datasets as tfds

    features = builder.info.features
    if not isinstance(features, tfds.features.Translation):
        raise InputError(
            f"dataset={dataset!r} is not a translation data set: a record of it has "
            f"{', '.join(features)}, not one sentence of each language."
        )
    for setting, language in (("source", source), ("target", target)):
        if language not in features.languages:
            raise InputError(
                f"dataset={dataset!r} does not have {setting}_language={language!r}."
                f"{_offer(language, features.languages)}"
            )
    if source == target:
        raise InputError(
            f"source_language={source!r} is target_language as well."
            f"{_offer('', features.languages)}"
        )


def _open_records(builder: Any, dataset: str, split: str) -> Any:
    import tensorflow_datasets as tfds

    if not builder.info.splits:
        prepare_dataset(builder, dataset)
    try:
        return builder.as_data_source(
            split=split,
            deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
        )
    except NotImplementedError as error:
        raise InputError(
            f"dataset={dataset!r} lies in {builder.data_dir} in a format which cannot "
            "be read by index: remove it there, or choose another data_dir."
        ) from error
    except ValueError as error:
        raise InputError(
            f"dataset={dataset!r} has no split {split!r}."
            f"{_offer(split, builder.info.splits)} A part is written train[:99%]."
        ) from error


def _offer(name: str, known: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """Returns the end of a message: the nearest of the known names, and the list."""
    near = difflib.get_close_matches(name, list(known), n=1)
    guess = f" Did you mean {near[0]}?" if near else ""
    return f"{guess} There is {', '.join(known if listed is None else listed)}."
