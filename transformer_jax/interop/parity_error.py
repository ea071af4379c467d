"""The error of an export or import that does not compute the same."""


class ParityError(RuntimeError):
    """Another program does not agree with this one on the same model.

    Example:
        >>> issubclass(tj.ParityError, RuntimeError)
        True
    """
