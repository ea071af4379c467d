"""Checkpoints that a run does not continue from are set aside, not removed."""

from transformer_jax.storage.work_directory import StoredPath, is_remote

SET_ASIDE = "set_aside"


def set_aside(
    workdir: StoredPath, checkpoint: StoredPath, name: str | None = None
) -> StoredPath:
    """Moves a checkpoint to where no command looks for one; returns its new path.

    Args:
        name: what it is called there. None = as before.
    """
    name = name or checkpoint.name
    folder = workdir / SET_ASIDE
    folder.mkdir(parents=True, exist_ok=True)
    if is_remote(folder):  # There only a file makes a directory.
        (folder / "README.txt").write_text("The run does not continue from these.\n")
    number, destination = 1, folder / name
    while destination.exists():
        number += 1
        destination = folder / f"{name}-{number}"
    checkpoint.rename(destination)
    return destination
