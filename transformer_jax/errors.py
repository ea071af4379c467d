"""The exception for errors that the user can correct."""


class InputError(ValueError):
    """A setting, file or line that the user can correct.

    The message is a single line: what is wrong and where, what was expected, and what
    to do. The command line prints it and exits with code 2.

    Example:
        >>> try:
        ...     tj.ModelConfig(num_heads=3)
        ... except tj.InputError as error:
        ...     print(error)
        model.num_heads=3 must divide model.d_model=512, or set model.d_k and model.d_v.
    """
