"""What the files of a Marian model's weights hold, before they are loaded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformer_jax.config.model import ModelConfig
from transformer_jax.errors import InputError
from transformer_jax.interop.json_files import read_json
from transformer_jax.interop.marian_parameters import layer_names, layer_prefixes
from transformer_jax.interop.optional_packages import explain_missing

WEIGHTS = "model.safetensors"
_PICKLED = "pytorch_model.bin"
_EXTRA = "hugging-face"
# As safetensors and torch write them.
_FLOATS = ("F64", "F32", "F16", "BF16", "float64", "float32", "float16", "bfloat16")


def check_weights(
    directory: Path, model: ModelConfig, positions: int
) -> dict[str, Path]:
    """Returns the file of each array, by its name; sizes are those of the settings.

    Args:
        positions: rows of the table of sinusoids, which may be among the arrays.

    Raises:
        InputError: a file is missing or damaged, or has an array that the model has
            not, or one of another shape or type; the message names both.
    """
    shapes = _shapes(model, positions)
    files: dict[str, Path] = {}
    for path in _weight_files(directory):
        for name, shape, dtype in _arrays(path):
            files[name] = path
            if name not in shapes:
                raise InputError(
                    f"{path}: {name} is no parameter of the model that config.json "
                    "describes."
                )
            if dtype not in _FLOATS:
                raise InputError(
                    f"{path}: {name} is of the type {dtype}: only floating-point "
                    "numbers can be imported."
                )
            if shape != shapes[name]:
                raise InputError(
                    f"{path}: {name} has the shape {shape}, config.json says "
                    f"{shapes[name]}."
                )
    missing = sorted(
        name for name in shapes.keys() - files.keys() if ".layers." in name
    )
    if missing:
        raise InputError(
            f"{directory}: its weights lack {missing[0]}, and {len(missing) - 1} "
            "others."
        )
    return files


def _shapes(model: ModelConfig, positions: int) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every array that there may be."""
    width, source, target = model.d_model, model.vocab_size, model.output_vocab_size
    shapes: dict[str, tuple[int, ...]] = {
        "model.shared.weight": (source, width),
        "model.encoder.embed_tokens.weight": (source, width),
        "model.decoder.embed_tokens.weight": (target, width),
        "lm_head.weight": (target, width),
        "final_logits_bias": (1, target),
        "model.encoder.embed_positions.weight": (positions, width),
        "model.decoder.embed_positions.weight": (positions, width),
    }
    inner = {
        "fc1.weight": (model.d_ff, width),
        "fc1.bias": (model.d_ff,),
        "fc2.weight": (width, model.d_ff),
    }
    for prefix, side in layer_prefixes(model):
        for name in layer_names(side):
            is_matrix = name.endswith("_proj.weight")
            shape = (width, width) if is_matrix else (width,)
            shapes[f"{prefix}.{name}"] = inner.get(name, shape)
    return shapes


def _weight_files(directory: Path) -> list[Path]:
    """Returns the files that transformers takes: the first kind that is there."""
    for name in (WEIGHTS, _PICKLED):
        index = directory / f"{name}.index.json"
        if (directory / name).is_file():
            return [directory / name]
        if index.is_file():
            parts = read_json(index).get("weight_map")
            if not isinstance(parts, dict) or not parts:
                raise InputError(f"{index}: weight_map is no table of files.")
            return [
                directory / str(part) for part in sorted({*map(str, parts.values())})
            ]
    raise InputError(
        f"{directory} has no {WEIGHTS} and no {_PICKLED}: a Marian model has one."
    )


def _arrays(path: Path) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Yields name, shape and type of each array of a file."""
    try:
        if path.suffix == ".safetensors":
            yield from _safe_arrays(path)
        else:
            yield from _pickled_arrays(path)
    except InputError:
        raise
    except Exception as error:  # Of any type, from many libraries.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read ({reason:.120}).") from None


def _safe_arrays(path: Path) -> Iterator[tuple[str, tuple[int, ...], str]]:
    with explain_missing(_EXTRA):
        from safetensors import safe_open
    with safe_open(path, "numpy") as file:
        for name in file.keys():  # noqa: SIM118 - It is no dictionary.
            array = file.get_slice(name)
            yield name, tuple(array.get_shape()), str(array.get_dtype())


def _pickled_arrays(path: Path) -> Iterator[tuple[str, tuple[int, ...], str]]:
    with explain_missing(_EXTRA):
        import torch
    arrays: Any = torch.load(path, map_location="cpu", weights_only=True)
    for name, array in arrays.items():
        yield str(name), tuple(array.shape), str(array.dtype).removeprefix("torch.")
