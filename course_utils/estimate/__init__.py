"""What should it take? Closed forms: money, logs and forecasts, memory, roofs, engines and predictions.

Names arrive on first use: pandas loads for a log, not for the price of one request. Where a module and its main
function share a name (`predict`, `engine`, `precision`, `deployment`, `predict_file`), the name means the module.
"""

from importlib import import_module

_HOME = {
    "Cost": "cost",
    "Usage": "cost",
    "break_even_mtok_per_month": "cost",
    "break_even_utilization": "cost",
    "cost_per_mtok": "cost",
    "monthly_cost": "cost",
    "request_cost": "cost",
    "request_costs": "cost",
    "self_hosted_usd_per_mtok": "cost",
    "image_rules": "prompt_size",
    "image_tokens": "prompt_size",
    "tool_loop": "prompt_size",
    "BadRow": "request_log",
    "RequestLog": "request_log",
    "read_log": "request_log",
    "Bill": "billing",
    "bill": "billing",
    "what_if": "billing",
    "traffic_lengths": "sample_log",
    "write_sample_log": "sample_log",
    "Forecast": "forecast",
    "Growth": "forecast",
    "fit_growth": "forecast",
    "forecast_from_growth": "forecast",
    "forecast_from_history": "forecast",
    "months_to_reach": "forecast",
    "BudgetAlert": "budget",
    "budget_alert": "budget",
    "attainable_flop_per_s": "roofline",
    "ridge_flop_per_byte": "roofline",
    "DoesNotFit": "memory",
    "Fit": "memory",
    "activation_bytes": "memory",
    "fit": "memory",
    "kv_bytes": "memory",
    "kv_bytes_per_token": "memory",
    "max_batch": "memory",
    "state_bytes": "memory",
    "weights_bytes": "memory",
    "Precision": "precision",
    "precisions": "precision",
    "EngineSettings": "engine",
    "chip_family": "engine",
    "engines": "engine",
    "Deployment": "deployment",
    "parse_load": "deployment",
    "Speed": "throughput",
    "accepted_per_step": "throughput",
    "Prediction": "predict",
    "predict_rows": "predict",
    "read_rows_csv": "predict_file",
    "Bar": "uncertainty",
    "half_width": "uncertainty",
    "interval": "uncertainty",
    "tornado": "uncertainty",
    "usd_per_mtok": "uncertainty",
    "usd_per_mtok_interval": "uncertainty",
    "BASELINES": "baselines",
    "baseline": "baselines",
}
_MODULES = (
    "baselines",
    "billing",
    "budget",
    "cost",
    "deployment",
    "engine",
    "forecast",
    "memory",
    "precision",
    "predict",
    "predict_file",
    "prompt_size",
    "request_log",
    "roofline",
    "sample_log",
    "step",
    "throughput",
    "uncertainty",
    "work",
)
__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return sorted([*globals(), *__all__])
