"""The exception for errors that the user can correct."""

import re
from collections.abc import Mapping

# What ends a line, for a terminal or for Python, and what else a terminal obeys.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


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

    def __init__(self, message: str) -> None:
        r"""Makes the error; \n and the like in a name, say, are written as escapes."""
        super().__init__(_CONTROL.sub(lambda found: repr(found[0])[1:-1], message))


class SentenceError(InputError):
    """Some of several sentences cannot be used; the message names the first.

    `problems` has what is wrong with each, by its index.
    """

    def __init__(self, problems: Mapping[int, str], name: str = "sentence") -> None:
        """Makes the error.

        Args:
            name: what is counted by the indices, from 1 in the message.
        """
        self.problems = dict(problems)
        first = min(self.problems)
        super().__init__(f"{name} {first + 1} {self.problems[first]}")


class ProcessLost(RuntimeError):  # noqa: N818 - it says what has happened
    """Another process of the run has ended or cannot be reached."""
