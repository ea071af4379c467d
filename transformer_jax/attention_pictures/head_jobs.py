"""The jobs that heads are measured by: a name, and the places that it describes."""

from dataclasses import dataclass

from transformer_jax.attention_pictures import places, tree_places
from transformer_jax.attention_pictures.attended_pair import AttentionKind


@dataclass(frozen=True)
class Job:
    """A job that a head may do."""

    name: str
    places: places.Places
    is_positional: bool = False
    """Whether it needs positions alone: any head could do it that knows nothing of the
    sentence."""


_FIRST = Job("first piece", places.first_key, True)
_LAST = Job("last piece", places.last_key, True)
_OFFSETS = {
    -3: "three pieces before",
    -2: "two pieces before",
    -1: "previous piece",
    0: "itself",
    1: "next piece",
    2: "two pieces after",
    3: "three pieces after",
}
# Chinese and Japanese ones too.
_STOPS = ".!?\u3002\uff01\uff1f"
_COMMAS = ",\uff0c\u3001"
_MARKS = (
    Job("full stop", places.pieces_like(_STOPS)),
    Job("comma", places.pieces_like(_COMMAS)),
)
_SELF = (
    *(Job(name, places.at_offset(k), True) for k, name in _OFFSETS.items()),
    _FIRST,
    Job("same piece elsewhere", places.identical),
    Job("piece after the same piece", places.after_identical),
    Job("beginning of the word before", places.word_before),
    Job("beginning of the word after", places.word_after),
    Job("rest of the word", places.rest_of_word),
    *_MARKS,
)
_CROSS = (
    Job("same position", places.at_offset(0), True),
    Job("position before", places.at_offset(-1), True),
    Job("position after", places.at_offset(1), True),
    Job("diagonal", places.diagonal, True),
    _FIRST,
    _LAST,
    *_MARKS,
)
_TRANSLATION = (
    Job("equal word, now written", places.copy_of_written),
    Job("equal word, written last", places.copy_of_read),
)
_TREE_TOKENS = (
    Job("matching opening bracket", tree_places.matching_bracket),
    Job("bracket of the parent", tree_places.parent_bracket),
    Job("innermost open bracket", tree_places.innermost_bracket),
    Job("part before, of the same parent", tree_places.part_before),
    Job("last tag", tree_places.leaf_before),
)
_TREE_WORDS = (
    Job("word of the last tag", tree_places.word_of_leaf(0)),
    Job("word of the next tag", tree_places.word_of_leaf(1)),
    Job("second word to come", tree_places.word_of_leaf(2)),
    Job("first word of the constituent", tree_places.first_word_of_constituent),
)


def jobs_of(kind: AttentionKind, parses: bool) -> tuple[Job, ...]:
    """Returns the jobs of an attention's heads.

    Args:
        parses: whether the model writes trees.
    """
    if kind == "encoder":
        return (*_SELF, _LAST)
    if kind == "decoder":
        return (*_SELF, *_TREE_TOKENS) if parses else _SELF
    return (*_CROSS, *(_TREE_WORDS if parses else _TRANSLATION))
