"""The command `average`."""

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.models import Workdir
from transformer_jax.commands.output import print_json

# Arguments of `average_checkpoints` as its errors name them, and as the shell's user
# does.
_FLAGS = {
    "last=": "--last ",
    "minutes=": "--minutes ",
    "output=": "--output ",
    "steps names": "--steps names",
    "leave out last and minutes": "leave out --last and --minutes",
}


def average(
    workdir: Workdir,
    /,
    last: int | None = None,
    minutes: float | None = None,
    steps: tuple[int, ...] = (),
    output: str | None = None,
) -> None:
    """Average the parameters of several checkpoints into one more checkpoint.

    Args:
        workdir: a trained work directory.
        last: how many, counted back from the newest; the default is 5, which the paper
            takes for base; it takes 20 for big.
        minutes: only checkpoints written at least so long before the next one taken;
            10 in the paper. By default every one.
        steps: those of these steps, in place of the last ones.
        output: directory for the average, to use in place of a work directory; by
            default in this one, for --checkpoint average.
    """
    from transformer_jax.checkpoints.averaging import average_checkpoints
    from transformer_jax.checkpoints.contents import averaged_steps

    with flags_in_errors(_FLAGS):
        directory = average_checkpoints(
            workdir, last, minutes=minutes, steps=steps, output=output
        )
    print_json(
        {
            "checkpoint": "average" if output is None else None,
            "directory": str(directory),
            "steps": averaged_steps(directory),
        }
    )
