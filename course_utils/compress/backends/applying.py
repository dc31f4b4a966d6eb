"""Convert the linear layers of a model, weigh what would be saved, save it and load it again.

Taught in: chapter 03.
"""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn
from tqdm.auto import tqdm

from course_utils.compress.backends import stored
from course_utils.compress.backends.registry import Backend, backend

# The output layer decides between tokens and is often shared with the embedding: libraries leave it alone too.
SKIPPED = ("lm_head",)


def apply(
    model: nn.Module, name: str, *, skip: tuple[str, ...] = SKIPPED, codes: Mapping | None = None, **options
) -> nn.Module:
    """A copy of the model, or of one nn.Linear, whose linear layers run on a backend; for inference.

    name       of the backend: see `backends()`
    skip       last names of layers to leave as they are
    codes      layer name -> Quantized, for int4 and ort-int4: codes that GPTQ or AWQ chose, in place of rounding
    options    the backend's own: `backend(name).options` has them with their defaults

    The original is untouched. ValueError for a model without linear layers, weights that aren't finite or a
    group size that doesn't divide, naming the layer; RuntimeError where the backend can't run here, saying why.
    """
    chosen = _ready(name)
    options = _checked_options(chosen, options)
    _check_device(chosen, model)
    if chosen.whole_model:
        converted = chosen.implementation().apply(model, **options)
    else:
        from_linear = chosen.implementation().from_linear
        codes = _checked_codes(chosen, model, codes, skip)

        def convert(path: str, linear: nn.Linear) -> nn.Module:
            chosen_codes = {"quantized": codes[path]} if path in codes else {}
            return from_linear(_finite(linear), **{**options, **chosen_codes})

        converted = _replaced(model, skip, chosen.name, convert)
    # Codes and calibration texts were for the conversion only.
    kept = {key: value for key, value in options.items() if isinstance(value, int | float | str)}
    converted.compressed_by = {"backend": name, "options": kept, "skip": list(skip)}
    return converted


def saved_bytes(model: nn.Module) -> int:
    """Bytes of the tensors that `save` would write: codes, scales and all. Any module will do, converted or not.

    The file's header, some hundred bytes a layer, comes on top. What two names share counts once.
    """
    if hasattr(model, "gptq_folder"):
        return backend("gptq").implementation().saved_bytes(model)
    return stored.stored_bytes(model.state_dict())


def save(converted: nn.Module, path: str | Path) -> int:
    """Write what `apply` returned to a safetensors file (for gptq, a folder); returns its bytes.

    Nothing is left half-written.
    ValueError for a model that `apply` didn't convert.
    """
    made = getattr(converted, "compressed_by", None)
    if made is None:
        raise ValueError(
            f"converted is a {type(converted).__name__} that no backend made, expected what apply returned"
        )
    chosen, path = backend(made["backend"]), Path(path)
    if chosen.whole_model:
        return chosen.implementation().save(converted, path)
    notes = {"compressed_by": made, "layers": _shapes(converted, chosen)}
    return stored.write(path, converted.state_dict(), notes)


def load(path: str | Path, like: nn.Module | None = None) -> nn.Module:
    """Read what `save` wrote. `like`: a model (or nn.Linear) of the same shapes, whose weights don't matter.

    ValueError for a file that isn't one or doesn't fit `like`.
    """
    path = Path(path)
    if path.is_dir():
        return _ready("gptq").implementation().load(path)
    if like is None:
        raise ValueError("like is None, expected a model of the same shapes as the saved one")
    state, notes = stored.read(path)
    made, shapes = notes["compressed_by"], notes["layers"]
    _check_fits(path, shapes, linear_layers(like, made["skip"]))
    chosen = _ready(made["backend"])
    restore, taken = chosen.implementation().restore, set()

    def restored(name: str, linear: nn.Linear) -> nn.Module:
        prefix = f"{name}." if name else ""
        mine = {key: value for key, value in state.items() if key.startswith(prefix)}
        taken.update(mine)
        return restore(
            linear, {key.removeprefix(prefix): value for key, value in mine.items()}, **made["options"]
        )

    model = _replaced(like, made["skip"], chosen.name, restored)
    if rest := {key: value for key, value in state.items() if key not in taken}:
        try:
            model.load_state_dict(rest, strict=False)
        except RuntimeError as error:
            raise ValueError(f"{path} does not fit `like`: {str(error).splitlines()[-1].strip()}") from error
    model.compressed_by = made
    return model


def linear_layers(model: nn.Module, skip: tuple[str, ...] = SKIPPED) -> dict[str, nn.Linear]:
    """The layers that a backend replaces, by name; "" names a model that is itself one.

    Subclasses of nn.Linear are left alone: whoever wrote them reads their weights in another way.
    """
    if type(model) is nn.Linear:
        return {"": model}
    return {
        name: module
        for name, module in model.named_modules()
        if type(module) is nn.Linear and name.rpartition(".")[2] not in skip
    }


def _replaced(
    model: nn.Module, skip: tuple[str, ...], name: str, convert: Callable[[str, nn.Linear], nn.Module]
) -> nn.Module:
    layers = linear_layers(model, skip)
    if not layers:
        raise ValueError(f"model is a {type(model).__name__} without nn.Linear layers, expected at least one")
    # deepcopy takes these for copies that it has made already: the large matrices are never copied.
    memo = {}
    with torch.inference_mode(False), torch.no_grad():
        for path, linear in tqdm(layers.items(), desc=name, unit="layer", delay=2.0, leave=False):
            try:
                memo[id(linear)] = convert(path, linear)
            except ValueError as error:
                raise ValueError(f"layer {path!r}: {error}" if path else str(error)) from error
        return copy.deepcopy(model, memo).eval()


def _shapes(model: nn.Module, chosen: Backend) -> dict[str, list[int]]:
    """Inputs and outputs of each converted layer, by name."""
    kind = chosen.implementation()
    return {
        name: [module.in_features, module.out_features]
        for name, module in model.named_modules()
        if isinstance(module, kind)
    }


def _check_fits(path: Path, shapes: dict, layers: Mapping[str, nn.Linear]) -> None:
    found = {name: [linear.in_features, linear.out_features] for name, linear in layers.items()}
    for name in sorted({*shapes, *found}):
        if shapes.get(name) != found.get(name):
            raise ValueError(
                f"{path} does not fit `like`: layer {name!r} is {shapes.get(name)} there, [inputs, outputs], "
                f"and {found.get(name)} in `like`"
            )


def _ready(name: str) -> Backend:
    chosen = backend(name)
    if reason := chosen.why_not():
        raise RuntimeError(f"{name} does not run here: {reason}")
    return chosen


def _check_device(chosen: Backend, model: nn.Module) -> None:
    found = {parameter.device.type for parameter in model.parameters()} - set(chosen.devices)
    if found:
        where = " or ".join(chosen.devices)
        raise ValueError(
            f"model is on {found.pop()}, and {chosen.name} runs on {where}: model.to({chosen.devices[0]!r})"
        )


def _checked_options(chosen: Backend, options: dict) -> dict:
    for option in options:
        if option not in chosen.options:
            known = ", ".join(chosen.options) or "no options"
            raise ValueError(f"option {option!r} is not one of {chosen.name}'s, expected {known}")
    return {**chosen.options, **options}


def _checked_codes(
    chosen: Backend, model: nn.Module, codes: Mapping | None, skip: tuple[str, ...]
) -> Mapping:
    if codes is None:
        return {}
    if "quantized" not in chosen.options:
        raise ValueError(f"codes are given, and {chosen.name} rounds on its own: expected int4 or ort-int4")
    if strangers := sorted(set(codes) - set(linear_layers(model, skip))):
        raise ValueError(f"codes has {strangers[0]!r}, expected names of the model's linear layers")
    return codes


def _finite(linear: nn.Linear) -> nn.Linear:
    for name, value in (("weight", linear.weight), ("bias", linear.bias)):
        if value is not None and not value.isfinite().all():
            raise ValueError(
                f"its {name} holds values that are not finite, expected none: check the checkpoint"
            )
    return linear
