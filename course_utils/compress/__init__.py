"""How do we make it smaller? Rounding, packing, NF4, GPTQ, AWQ, SmoothQuant, pruning, each short enough to read.

Names arrive on first use: torch loads only when something is compressed.
"""

from course_utils.lazy import front_door

_HOME = {
    "Sparse": "masks",
    "Quantized": "rounding",
    "quantize": "rounding",
    "relative_error": "rounding",
    "Nf4": "nf4",
    "quantize_nf4": "nf4",
    "pack": "packing",
    "unpack": "packing",
    "stored_tensors": "packing",
    "InputStats": "calibration",
    "LayerResult": "calibration",
    "output_error": "calibration",
    "round_model": "blocks",
    "stats_of": "calibration",
    "Alone": "distillation",
    "Distill": "distillation",
    "teacher_texts": "distillation",
    "HiddenMatch": "distillation_losses",
    "forward_kl": "distillation_losses",
    "reverse_kl": "distillation_losses",
    "generalized_jsd": "distillation_losses",
    "Plan": "distillation_training",
    "train": "distillation_training",
}
_MODULES = (
    "awq",
    "backends",
    "blocks",
    "calibration",
    "distillation",
    "distillation_cost",
    "distillation_lesson",
    "distillation_losses",
    "distillation_results",
    "distillation_start",
    "distillation_study",
    "distillation_training",
    "folding",
    "gptq",
    "grid",
    "masks",
    "nf4",
    "packing",
    "pruning",
    "pruning_runs",
    "quantizing",
    "recovery",
    "rounding",
    "smoothquant",
    "sparsegpt",
    "structured",
    "texts",
)
__all__ = sorted([*_HOME, *_MODULES])
__getattr__, __dir__ = front_door(__name__, _HOME, _MODULES)
