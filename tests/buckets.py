"""A bucket that is a directory on disk, behind the client that `gs://` paths use."""

import os

from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem


class Bucket(DirFileSystem):
    """As strict as an object store: no appending, directories come with their files.

    Keeps the names of the files written, in order.
    """

    protocol = ("gs", "gcs")
    cachable = False
    root = ""
    written: list[str] = []  # noqa: RUF012

    def __init__(self, **_):
        super().__init__(path=self.root, fs=LocalFileSystem(auto_mkdir=True))

    def _join(self, path):
        return super()._join(self._strip_protocol(path))

    def _open(self, path, mode="rb", **options):
        return self.open(path, mode, **options)

    def open(self, path, mode="rb", **options):
        assert mode in ("r", "rb", "w", "wb"), f"{mode} is not for an object store"
        if "w" in mode:
            self.written.append(self._strip_protocol(path))
        encoding = {} if "b" in mode else {"encoding": "utf-8"}
        return self.fs.open(self._join(path), mode, **encoding)

    def mkdir(self, path, **_):
        """Does nothing: there are no directories."""

    def makedirs(self, path, exist_ok=False):
        """Does nothing: there are no directories."""

    def isdir(self, path):
        return any(files for _, _, files in os.walk(self._join(path)))

    def rename(self, path, target, **_):
        """Copies, as an object store does: not for what is done often."""
        assert self.isdir(path), f"{path}: renaming is copying in an object store"
        self.fs.makedirs(os.path.dirname(self._join(target)), exist_ok=True)
        os.rename(self._join(path), self._join(target))


def mount(monkeypatch, root) -> type[Bucket]:
    """Makes `gs://` the directory `root`, for one test."""
    from etils.epath import backend

    monkeypatch.setattr(Bucket, "root", str(root))
    monkeypatch.setattr(Bucket, "written", [])
    monkeypatch.setattr(
        backend.fsspec_backend, "_get_filesystem", lambda name: Bucket()
    )
    return Bucket
