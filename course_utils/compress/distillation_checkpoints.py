"""Checkpoints of a training run: one safetensors file, with the run's history as JSON in its header, written whole.

One file and not two, so that a kill never leaves weights and history of different steps. No pickle: a checkpoint
from somebody else can hold wrong numbers, but no code.
Taught in: chapter 06.
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from course_utils.whole_files import whole

FILE = "checkpoint.safetensors"


def weights(parts: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers that are saved, by name; tied ones once."""
    found: dict[str, Tensor] = {}
    seen = set()
    for name, value in parts.state_dict().items():
        if value.data_ptr() not in seen:
            seen.add(value.data_ptr())
            found[name] = value.detach()
    return found


@torch.no_grad()
def load_weights(parts: nn.Module, values: dict[str, Tensor]) -> None:
    """Copy `values` into the tensors of the same names."""
    for name, value in weights(parts).items():
        value.copy_(values[name])


def save(folder: Path, terms: dict, run, parts: nn.Module, optimizer, best: dict[str, Tensor]) -> None:
    """Write everything that a run needs to go on into `folder`, in one step."""
    from safetensors.torch import save_file

    tensors = {f"weights.{name}": value for name, value in weights(parts).items()}
    moments = optimizer.state_dict()["state"]
    for place, name in enumerate(_trained_names(parts, optimizer)):
        tensors |= {f"optimizer.{key}.{name}": value for key, value in moments[place].items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    folder.mkdir(parents=True, exist_ok=True)
    header = {"terms": json.dumps(terms), "run": json.dumps(asdict(run))}
    with whole(folder / FILE) as part:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, part, header)


def resumed(folder: Path | None, terms: dict, parts: nn.Module, optimizer):
    """Fields of the run and its best weights, the rest put into `parts` and `optimizer`; None without a checkpoint.

    ValueError for a checkpoint of another run, saying in what it differs, and for a file that isn't one.
    """
    read = _read(folder)
    if read is None:
        return None
    header, tensors = read
    differs = [key for key in terms if header["terms"].get(key) != json.loads(json.dumps(terms[key]))]
    if differs:
        raise ValueError(
            f"folder={str(folder)!r} holds a checkpoint of another run: its {differs[0]} differs. "
            "Take another folder, or delete it to start again"
        )
    load_weights(parts, _named("weights.", tensors))
    state = {
        place: {key: tensors[f"optimizer.{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
        for place, name in enumerate(_trained_names(parts, optimizer))
    }
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return header["run"], _named("best.", tensors)


def step_of(folder: Path | None) -> int | None:
    """Steps done by the run whose checkpoint lies in `folder`; None where there is none."""
    read = _read(folder)
    return None if read is None else read[0]["run"]["step"]


def _read(folder: Path | None):
    from safetensors import SafetensorError, safe_open

    if folder is None or not (path := Path(folder) / FILE).is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = {key: json.loads(value) for key, value in file.metadata().items()}
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, AttributeError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no checkpoint of a run: {error}; delete it to start again") from error


def _trained_names(parts: nn.Module, optimizer) -> list[str]:
    """Names of the optimizer's parameters, in its order."""
    by_id = {id(p): name for name, p in parts.named_parameters()}
    return [by_id[id(p)] for group in optimizer.param_groups for p in group["params"]]


def _named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
