"""The version of the package, which checkpoints and settings that it writes carry."""

VERSION = "0.1.0"
