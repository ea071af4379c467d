"""The exception for errors that the user can correct."""


class InputError(ValueError):
    """A setting, file or line that the user can correct.

    The message is a single line: what is wrong and where, what was expected, and what
    to do. The command line prints it and exits with code 2.
    """
