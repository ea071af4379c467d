"""The command `plan`."""

import os

from transformer_jax.commands.error_flags import flags_in_errors
from transformer_jax.commands.output import print_json, print_note
from transformer_jax.commands.settings import (
    PAPER_BASE,
    ConfigFile,
    Settings,
    change_settings,
)
from transformer_jax.commands.startup import show_log

# Arguments of `compare_plans` as its errors name them, and as the shell's user does.
_FLAGS = {
    "topology=": "--topology ",
    "num_slices=": "--num-slices ",
    "operations=": "--operations ",
    "sentences=": "--search-sentences ",
    "recommend=True": "--recommend",
}


def plan(
    config: ConfigFile,
    /,
    topology: str,
    num_slices: int = 1,
    search_sentences: int | None = None,
    compare: tuple[str, ...] = (),
    recommend: bool = False,
    operations: int = 0,
    progress: bool = True,
    settings: Settings = PAPER_BASE,
) -> None:
    """Compile an update for TPUs that are not attached: its cost per chip, as JSON.

    With --search-sentences, a step of the search that translates.

    Args:
        config: TOML file with settings, or a name, as multi30k_en_de.
        topology: TPU version and chips along each dimension of a slice, as v5e:4x4.
        num_slices: slices joined by the data-centre network.
        search_sentences: plan a step of search over so many sentences on each device,
            as long as decoding.batch_tokens allows.
        compare: other settings to put beside these, each written as
            model.remat=layer,mesh.fsdp=4; a mesh replaces the whole mesh.
        recommend: try the few meshes worth it and name the one that is fastest by
            its schedule.
        operations: show this number of the most expensive instructions.
        progress: show progress on standard error.
    """
    show_log(progress)
    # Nothing runs on a device: those here stay free for other processes.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from transformer_jax.cost.comparison import compare_plans

    variants = {text: change_settings(settings, text) for text in compare}
    with flags_in_errors(_FLAGS):
        result = compare_plans(
            settings,
            topology,
            num_slices,
            variants,
            recommend,
            operations,
            print_note,
            sentences=search_sentences,
        )
    print_json(result)
