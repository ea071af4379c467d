"""Checkpoints on disk, through Orbax."""
