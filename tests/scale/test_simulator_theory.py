"""The simulator against queueing theory and another simulator: as plain servers with one queue it must agree with both.

A request of one output token on a server of `seconds_per_token` is served in one step, alone: `servers` of
`scale.fleet`. Seeds are fixed, so that a mean within three standard errors stays there.
"""

import heapq

import ciw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.scale.arrivals import gamma_arrivals, poisson_arrivals
from course_utils.scale.fleet import servers
from course_utils.scale.queueing import ggc_wait_s, mg1_wait_s, mmc_wait_quantile_s, mmc_wait_s
from course_utils.scale.simulator import simulate
from course_utils.scale.traffic import Traffic

TOKEN_S = 1e-4
SEEDS = 20


def customers(arrived_s, service_s, priority=None):
    tokens = np.maximum(1, np.rint(np.asarray(service_s) / TOKEN_S)).astype(np.int64)
    return Traffic(arrived_s, tokens, np.ones_like(tokens), "customers", "drawn here", priority=priority)


def waits(traffic, count):
    """Seconds in the queue, by customer."""
    outcome = simulate(traffic, servers(count, TOKEN_S))
    assert outcome.finished.all()
    return outcome.ttft_s - traffic.input_tokens * TOKEN_S


def lindley(traffic):
    """Waits at one server: what was left of the work when the one before came, plus theirs, less the time since."""
    gaps, service_s = np.diff(traffic.arrived_s), traffic.input_tokens * TOKEN_S
    found = [0.0]
    for gap, served in zip(gaps, service_s, strict=False):
        found.append(max(0.0, found[-1] + served - gap))
    return np.array(found)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32), st.floats(0.05, 1.5), st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.integers(1, 3000)
)
def test_one_server_waits_as_lindleys_recursion_says(seed, load, service_cv, requests):
    rng = np.random.default_rng(seed)
    service_s = rng.gamma(service_cv**-2, service_cv**2, requests) if service_cv else np.ones(requests)
    traffic = customers(gamma_arrivals(load, 1.3, requests=requests, seed=seed), service_s)
    assert waits(traffic, 1) == pytest.approx(lindley(traffic), abs=1e-9)


def first_free(traffic, count):
    """Waits at several servers: whoever is free first takes the next (Kiefer and Wolfowitz's recursion, by a heap)."""
    free, found = [0.0] * count, []
    for at_s, served in zip(
        traffic.arrived_s.tolist(), (traffic.input_tokens * TOKEN_S).tolist(), strict=True
    ):
        start = max(at_s, free[0])
        heapq.heapreplace(free, start + served)
        found.append(start - at_s)
    return np.array(found)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.05, 1.5), st.integers(2, 40), st.integers(1, 3000))
def test_several_servers_wait_as_kiefer_and_wolfowitz_say(seed, load, count, requests):
    service_s = np.random.default_rng(seed).exponential(1.0, requests)
    traffic = customers(gamma_arrivals(load * count, 1.3, requests=requests, seed=seed), service_s)
    assert waits(traffic, count) == pytest.approx(first_free(traffic, count), abs=1e-9)


def test_arrivals_at_one_moment_are_served_in_their_order():
    assert waits(customers([1.0, 1.0, 1.0], [2, 3, 4]), 1) == pytest.approx([0, 2, 5])
    assert waits(customers([1.0, 1.0, 1.0], [2, 3, 4]), 2) == pytest.approx([0, 0, 2])


def pooled(arrivals, service, count, requests=25_000, warm_up=5_000):
    """Mean wait by seed, after the queue has forgotten that it began empty (1600 service times at 95 %)."""
    means = []
    for seed in range(SEEDS):
        rng = np.random.default_rng([seed, 1])
        found = waits(customers(arrivals(requests, seed), service(rng, requests)), count)
        means.append(found[warm_up:].mean())
    return np.array(means)


def standard_error(means):
    return means.std(ddof=1) / np.sqrt(len(means))


@pytest.mark.parametrize("busy", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("count", [1, 8])
def test_memoryless_queues_wait_as_erlang_says(count, busy):
    means = pooled(
        lambda n, seed: poisson_arrivals(busy * count, requests=n, seed=seed),
        lambda rng, n: rng.exponential(1.0, n),
        count,
    )
    assert abs(means.mean() - mmc_wait_s(busy * count, 1.0, count)) < 3 * standard_error(means)


def test_quantiles_of_waiting_are_the_closed_form():
    count, rate = 4, 3.4
    shares = np.array([0.5, 0.9, 0.99])
    found = np.array(
        [
            np.quantile(
                waits(
                    customers(
                        poisson_arrivals(rate, requests=25_000, seed=seed),
                        np.random.default_rng([seed, 1]).exponential(1.0, 25_000),
                    ),
                    count,
                )[5_000:],
                shares,
            )
            for seed in range(SEEDS)
        ]
    )
    error = found.std(axis=0, ddof=1) / np.sqrt(SEEDS)
    assert (np.abs(found.mean(axis=0) - mmc_wait_quantile_s(rate, 1.0, count, shares)) < 3 * error).all()


@pytest.mark.parametrize("service_cv", [0.0, 0.5, 2.0])
def test_one_server_of_any_service_waits_as_pollaczek_and_khinchine_say(service_cv):
    def service(rng, n):
        return rng.gamma(service_cv**-2, service_cv**2, n) if service_cv else np.ones(n)

    means = pooled(lambda n, seed: poisson_arrivals(0.8, requests=n, seed=seed), service, 1)
    assert abs(means.mean() - mg1_wait_s(0.8, 1.0, service_cv)) < 3 * standard_error(means)


@pytest.mark.parametrize(("arrival_cv", "service_cv"), [(0.5, 0.5), (1.5, 1.0), (1.5, 0.5)])
def test_allen_cunneen_is_near_where_nothing_is_memoryless(arrival_cv, service_cv):
    count, busy = 4, 0.9
    means = pooled(
        lambda n, seed: gamma_arrivals(busy * count, arrival_cv, requests=n, seed=seed),
        lambda rng, n: rng.gamma(service_cv**-2, service_cv**2, n),
        count,
    )
    assert means.mean() == pytest.approx(
        ggc_wait_s(busy * count, 1.0, count, arrival_cv, service_cv), rel=0.15
    )


def ciw_waits(count, arrival, service, customers, seed, classes=None):
    """Waits in Ciw, in the order of arrival; `classes` are its names of priorities, the first served first."""
    network = ciw.create_network(
        arrival_distributions=arrival,
        service_distributions=service,
        number_of_servers=[count],
        **(classes or {}),
    )
    ciw.seed(seed)
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(customers, method="Finish")
    records = sorted(simulation.get_all_records(), key=lambda record: record.arrival_date)
    return np.array([record.arrival_date for record in records]), np.array(
        [record.waiting_time for record in records]
    )


@pytest.mark.parametrize("count", [1, 3])
def test_each_customer_waits_exactly_as_long_as_in_ciw(count):
    rng = np.random.default_rng(count)
    traffic = customers(gamma_arrivals(0.9 * count, 1.5, requests=4000, seed=8), rng.gamma(0.5, 2.0, 4000))
    gaps = np.diff(traffic.arrived_s, prepend=0.0).tolist()
    served = (traffic.input_tokens * TOKEN_S).tolist()
    arrived_s, waited_s = ciw_waits(
        count, [ciw.dists.Sequential([*gaps, 1e9])], [ciw.dists.Sequential(served)], len(gaps), seed=0
    )
    assert arrived_s == pytest.approx(traffic.arrived_s, abs=1e-7)
    assert waits(traffic, count) == pytest.approx(waited_s, abs=1e-7)


def test_priorities_are_those_of_ciw():
    rng = np.random.default_rng(5)
    priority = rng.integers(0, 2, 3000)
    traffic = customers(
        poisson_arrivals(1.7, requests=3000, seed=6), rng.exponential(1.0, 3000), priority=priority
    )
    arrival, service = {}, {}
    for level in (1, 0):
        mine = priority == level
        gaps = np.diff(traffic.arrived_s[mine], prepend=0.0).tolist()
        arrival[f"priority {level}"] = [ciw.dists.Sequential([*gaps, 1e9])]
        service[f"priority {level}"] = [ciw.dists.Sequential((traffic.input_tokens[mine] * TOKEN_S).tolist())]
    classes = {"priority_classes": {"priority 1": 0, "priority 0": 1}}
    _, waited_s = ciw_waits(2, arrival, service, 3000, seed=0, classes=classes)
    assert waits(traffic, 2) == pytest.approx(waited_s, abs=1e-7)
    assert waited_s[priority == 1].mean() < 0.5 * waited_s[priority == 0].mean()


def test_a_queue_without_a_formula_lies_inside_ciws_interval():
    """Most requests short, one in sixteen nine times as long, on three servers that are busy 85 % of the time."""
    count, rate, shares, mean_s = 3, 1.7, np.array([0.9375, 0.0625]), np.array([1.0, 9.0])

    def service(rng, n):
        return rng.exponential(mean_s[rng.choice(2, n, p=shares)])

    ciws = []
    for seed in range(10):
        arrival = [ciw.dists.Exponential(rate)]
        served = [ciw.dists.HyperExponential((1 / mean_s).tolist(), shares.tolist())]
        ciws.append(ciw_waits(count, arrival, served, 5000, seed)[1][1000:].mean())
    ours = pooled(
        lambda n, seed: poisson_arrivals(rate, requests=n, seed=seed),
        service,
        count,
        requests=5000,
        warm_up=1000,
    )
    # Student's t with nine degrees of freedom, 95 %; our own error comes on top.
    interval = np.hypot(2.262 * standard_error(np.array(ciws)), 2.093 * standard_error(ours))
    assert abs(ours.mean() - np.mean(ciws)) < interval
