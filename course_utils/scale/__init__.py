"""What happens under load? Spot capacity that comes and goes, and serving and computing on it."""

from course_utils.lazy import front_door

# Loaded on first use: numpy and scipy cost time that `import course_utils` must not pay. No module here may
# be called like a function of this list, or importing it would hide the function.
_HOME = {
    "Durations": "durations",
    "fit_durations": "durations",
    "Trace": "spot_traces",
    "read_trace": "spot_traces",
    "write_trace": "spot_traces",
    "Drift": "preemption",
    "Notice": "preemption",
    "RegionShock": "preemption",
    "SpotProcess": "preemption",
    "generate_trace": "spot_generator",
    "generate_zones": "spot_generator",
    "region_shock": "preemption",
    "spot_drift": "preemption",
    "spot_notice": "preemption",
    "spot_process": "preemption",
    "spot_processes": "preemption",
    "Policy": "policies",
    "Service": "policies",
    "SpotOutcome": "spot",
    "floor_and_spot": "policies",
    "on_demand_only": "policies",
    "simulate_policies": "spot",
    "simulate_policy": "spot",
    "spot_only": "policies",
    "spot_with_fallback": "policies",
    "BatchJob": "checkpointing",
    "Completion": "checkpointing",
    "daly_interval_s": "checkpointing",
    "exact_interval_s": "checkpointing",
    "expected_completion": "checkpointing",
    "expected_completion_on_notice": "checkpointing",
    "CompletionSample": "job_simulation",
    "replay_job": "job_simulation",
    "simulate_job": "job_simulation",
    "young_interval_s": "checkpointing",
    "miss_price_break_even_usd": "break_even",
    "reserved_break_even_utilization": "break_even",
    "reserved_usd_per_used_hour": "break_even",
    "spot_break_even_waste": "break_even",
    "spot_usd_per_useful_hour": "break_even",
    "Traffic": "traffic",
    "merge_traffic": "traffic",
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = front_door(__name__, _HOME)
