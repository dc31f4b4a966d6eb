"""The file of a converted model: safetensors, which holds tensors and text, and no code that could run.

A `state_dict` is flattened for it: a layer's extra state becomes one tensor an entry, plain values become JSON in
the file's header, and a tensor that two names share is written once.
Taught in: chapter 03.
"""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from course_utils.whole_files import whole

_INSIDE = "::"  # between the name of an extra state and of what is inside it


def stored_bytes(state: dict) -> int:
    """Bytes of the tensors that `write` would put into a file, each counted once; the header comes on top."""
    tensors, _, _ = _flat(state)
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def write(path: Path, state: dict, notes: dict) -> int:
    """Write a `state_dict` and `notes` (what JSON can hold); returns the file's bytes. Nothing is left half-written.

    ValueError for a value that is neither a tensor nor plain, naming it.
    """
    tensors, plain, shared = _flat(state)
    header = {"notes": json.dumps(notes), "plain": json.dumps(plain), "shared": json.dumps(shared)}
    with whole(path) as part:
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, part, header)
    return path.stat().st_size


def read(path: Path) -> tuple[dict, dict]:
    """The `state_dict` and the notes that `write` wrote. ValueError for a file that holds something else."""
    try:
        with safe_open(path, "pt") as file:
            header = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            names = file.keys()
            state = {name: file.get_tensor(name) for name in names}
        notes, plain, shared = header["notes"], header["plain"], header["shared"]
        state |= {name: state[first] for name, first in shared.items()} | plain
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} does not hold a converted model: {type(error).__name__}") from error
    return _nested(state), notes


def _flat(state: dict) -> tuple[dict[str, Tensor], dict, dict[str, str]]:
    """Tensors, plain values, and the names of tensors that another name holds already."""
    flat = {}
    for name, value in state.items():
        inside = value.items() if isinstance(value, dict) else [("", value)]
        flat |= {f"{name}{_INSIDE}{key}" if key else name: one for key, one in inside}
    tensors, plain, shared, first = {}, {}, {}, {}
    for name, value in flat.items():
        if isinstance(value, Tensor):
            place = (value.data_ptr(), value.dtype, value.shape, value.stride())
            if value.numel() and place in first:
                shared[name] = first[place]
            else:
                first[place], tensors[name] = name, value
        elif value is None or isinstance(value, bool | int | float | str):
            plain[name] = value
        else:
            raise ValueError(
                f"{name} holds a {type(value).__name__}, expected tensors, numbers and text: it can't be saved"
            )
    return tensors, plain, shared


def _nested(flat: dict) -> dict:
    state: dict = {}
    for name, value in flat.items():
        outer, found, key = name.partition(_INSIDE)
        if found:
            state.setdefault(outer, {})[key] = value
        else:
            state[name] = value
    return state
