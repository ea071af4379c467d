"""Download and preparation of TFDS data sets, without TensorFlow.

An archive that no server gives any more can be put by hand into `downloads/manual` of
the directory of the data sets, under the name it has at the end of its address.
"""

import contextlib
import importlib.util
import io
import logging
import os
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import IO, Any

from transformer_jax.errors import InputError
from transformer_jax.progress import has_bar
from transformer_jax.storage.work_directory import work_directory

logger = logging.getLogger(__name__)


def prepare_dataset(builder: Any, dataset: str) -> None:
    """Downloads a TFDS data set and prepares it as ArrayRecord.

    Args:
        builder: the TFDS builder.
        dataset: its name, for messages.

    Raises:
        InputError: the data set cannot be downloaded or prepared.
    """
    logger.info(
        "preparing %s in %s, from archives in %s or else from its servers",
        dataset,
        builder.data_dir,
        _manual_directory(builder),
    )
    try:
        with _reports_to_terminal(), _files_without_tensorflow():
            builder.download_and_prepare(file_format="array_record")
    except Exception as error:  # Of any type: network, disk, a parser of the data set.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"dataset={dataset!r} could not be downloaded and prepared in "
            f"{builder.data_dir} ({reason:.600}); {_advise(builder, error)}."
        ) from error


def _manual_directory(builder: Any) -> str:
    """Returns where TFDS looks for archives before it asks a server."""
    return os.path.join(builder.data_dir_root, "downloads", "manual")


def _advise(builder: Any, error: Exception) -> str:
    """Returns what to do after an error; for an archive, where to put it by hand."""
    from tensorflow_datasets.core.download import download_manager

    found, folder = _find_archive(error), _manual_directory(builder)
    if found is None:
        if hasattr(error, "request"):  # A download broke off.
            return f"run it again, or put the archive by hand into {folder}"
        return "use text files if that cannot be mended"
    url, name, size = found
    archive, place = f"{url} ({size:,} bytes)", os.path.join(folder, name)
    if isinstance(error, download_manager.NonMatchingChecksumError):
        return f"expected {archive} as it was recorded: put that file at {place}"
    return f"fetch {archive} in another way and put it at {place}, or use text files"


def _find_archive(error: Exception) -> tuple[str, str, int] | None:
    """Returns address, name and bytes of the archive that an error is of.

    None if the error says of none, or TFDS knows no name of it.
    """
    from tensorflow_datasets.core.download import checksums

    request = getattr(error, "request", None)
    words = [getattr(request, "url", None) or "", *str(error).split()]
    # Without the server: it may have sent the request on to another.
    paths = {_path_of(word.rstrip(".,:")) for word in words} - {""}
    for url, info in checksums.get_all_url_infos().items():
        if info.filename and _path_of(url) in paths:
            return url, info.filename, int(info.size)
    return None


def _path_of(url: str) -> str:
    """Returns an address without protocol and server."""
    return url.partition("://")[2].partition("/")[2]


@contextlib.contextmanager
def _files_without_tensorflow() -> Iterator[None]:
    """Lets TFDS unpack archives, and shuffle more than 1 GB, without TensorFlow.

    It opens files by `tf.io.gfile` in two modules of it. Where TensorFlow is not
    installed, these have the same functions of Python's own in its place.
    """
    if importlib.util.find_spec("tensorflow") is not None:
        yield
        return
    from tensorflow_datasets.core import shuffle
    from tensorflow_datasets.core.download import extractor

    modules = extractor, shuffle
    lazy = [module.tf for module in modules]
    try:
        for module in modules:
            module.tf = _STAND_IN
        with _many_open_files(shuffle.BUCKETS_NUMBER):
            yield
    finally:
        for module, tensorflow in zip(modules, lazy, strict=True):
            module.tf = tensorflow


def _open(path: str | os.PathLike[str], mode: str) -> IO[Any]:
    file: IO[Any] = work_directory(path).open(mode)
    return file


_STAND_IN = SimpleNamespace(
    compat=SimpleNamespace(as_text=os.fsdecode),
    errors=SimpleNamespace(ResourceExhaustedError=()),  # Nothing is caught.
    io=SimpleNamespace(
        gfile=SimpleNamespace(
            GFile=_open,
            exists=lambda path: work_directory(path).exists(),
            remove=lambda path: work_directory(path).unlink(),
        )
    ),
)


@contextlib.contextmanager
def _many_open_files(number: int) -> Iterator[None]:
    """Allows the process so many open files more, as far as the system lets it."""
    try:
        import resource
    except ImportError:  # On Windows, where there is no such limit.
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = soft + number
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    try:
        if soft != resource.RLIM_INFINITY:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def _reports_to_terminal() -> Iterator[None]:
    """Shows the bars and messages of TFDS on standard error, but not in a log.

    It would write its messages to standard output, which is for results.
    """
    import tensorflow_datasets as tfds

    if has_bar():
        with contextlib.redirect_stdout(sys.stderr):
            yield
        return
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tfds.enable_progress_bar()
