"""What should it take? Closed forms: money, logs and forecasts here, roofs and engines beside them.

Names arrive on first use: pandas loads for a log, not for the price of one request.
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
}
_MODULES = ("billing", "budget", "cost", "forecast", "prompt_size", "request_log", "roofline", "sample_log")
__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return sorted([*globals(), *__all__])
