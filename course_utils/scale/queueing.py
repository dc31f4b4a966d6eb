"""How long requests wait for a free server, by formula: exact where there is one, good where there isn't.

A server is whatever serves one request at a time: a place in a replica's batch, or a worker. Names follow Kendall:
arrivals / service / servers; M is exponential (Poisson arrivals), D constant, G anything. Numbers or arrays alike, of
any shapes that broadcast. All refuse a load that the servers can't carry, and say how many would do.

Sources: Kleinrock, "Queueing Systems", volume 1 (1975): M/M/1, M/M/c, M/G/1; Cooper, "Introduction to Queueing
Theory" (1981), chapter 3: Erlang's recursion; Allen, "Probability, Statistics, and Queueing Theory" (1990), chapter 5:
Allen-Cunneen; Little, Operations Research 9 (1961).
Taught in: chapter 09.
"""

import math
from collections.abc import Iterator

import numpy as np


def requests_in_system(rate_per_s, time_s):
    """Little's law: requests that are there on average = arrivals a second x seconds that each stays.

    Holds for any queue, discipline and distribution, and for any part of a system: waiting, in service, or both.
    """
    _check(rate_per_s=rate_per_s, time_s=time_s)
    return np.multiply(rate_per_s, time_s)[()]


def utilization(rate_per_s, service_s, servers=1):
    """Share of the servers that is busy on average: rate x service / servers. At 1 and above no queue is stable."""
    _check(rate_per_s=rate_per_s, service_s=service_s)
    return (np.multiply(rate_per_s, service_s) / _whole(servers))[()]


def erlang_b(load, servers):
    """Share of requests turned away where nobody can wait (M/G/c/c); `load` = rate x service, any number of 0 or more.

    B(0) = 1, B(n) = load B(n-1) / (n + load B(n-1)): no factorial, so nothing overflows with thousands of servers.
    """
    _check(load=load)
    load, servers = np.broadcast_arrays(np.asarray(load, dtype=float), _whole(servers))
    found = np.ones(load.shape)
    for n, blocked in zip(range(1, int(servers.max(initial=0)) + 1), _blocked(load), strict=False):
        np.copyto(found, blocked, where=servers == n)
    return found[()]


def _blocked(load) -> Iterator:
    """B of 1, 2, 3, … servers. Numbers or arrays."""
    blocked, n = 1.0, 0
    while True:
        n += 1
        blocked = load * blocked / (n + load * blocked)
        yield blocked


def erlang_c(load, servers):
    """Share of requests that have to wait in M/M/c; `load` = rate x service, below `servers`."""
    load, servers = np.asarray(load, dtype=float), _whole(servers)
    _check(load=load)
    _refuse_overload(load, servers)
    return np.asarray(_waiting(load, servers, erlang_b(load, servers)))[()]


def _waiting(load, servers, blocked):
    """C from B: c B / (c - a (1 - B)), written so that nothing cancels as the load comes close to the servers."""
    return servers * blocked / ((servers - load) + load * blocked)


def mmc_wait_s(rate_per_s, service_s, servers):
    """Mean wait in M/M/c, seconds before service: C service / (servers - load)."""
    load, servers = _load(rate_per_s, service_s, servers)
    return (erlang_c(load, servers) * service_s / (servers - load))[()]


def mmc_wait_quantile_s(rate_per_s, service_s, servers, share):
    """Wait that `share` of the requests in M/M/c don't exceed, first come, first served; 0 where so many don't wait.

    P(wait > t) = C exp(-(servers - load) t / service).
    """
    load, servers = _load(rate_per_s, service_s, servers)
    share = _share(share)
    with np.errstate(divide="ignore"):
        longer = np.log(erlang_c(load, servers)) - np.log1p(-share)
    return (np.maximum(0.0, longer) * service_s / (servers - load))[()]


def mm1_wait_s(rate_per_s, service_s):
    """Mean wait in M/M/1, seconds: service u / (1 - u), with u the utilization."""
    return mg1_wait_s(rate_per_s, service_s, 1.0)


def mm1_time_quantile_s(rate_per_s, service_s, share):
    """Wait and service together that `share` of the requests in M/M/1 don't exceed: exponential in all, with the mean
    service / (1 - u).
    """
    load, _ = _load(rate_per_s, service_s, 1)
    return (-np.log1p(-_share(share)) * service_s / (1 - load))[()]


def md1_wait_s(rate_per_s, service_s):
    """Mean wait in M/D/1, seconds: constant service halves the wait of M/M/1."""
    return mg1_wait_s(rate_per_s, service_s, 0.0)


def mg1_wait_s(rate_per_s, service_s, service_cv):
    """Mean wait in M/G/1, seconds (Pollaczek-Khinchine): service u / (1 - u) x (1 + cv²) / 2.

    service_cv: standard deviation of the service over its mean. Only these two numbers of its distribution matter.
    """
    load, _ = _load(rate_per_s, service_s, 1)
    _check(service_cv=service_cv)
    return (load * service_s / (1 - load) * (1 + np.square(service_cv)) / 2)[()]


def ggc_wait_s(rate_per_s, service_s, servers, arrival_cv, service_cv):
    """Mean wait in G/G/c, seconds, approximately (Allen-Cunneen): M/M/c's x (arrival_cv² + service_cv²) / 2.

    Exact for M/M/c and M/G/1. Gaps are taken as independent of each other: bursts that last wait much longer.
    """
    _check(arrival_cv=arrival_cv, service_cv=service_cv)
    roughness = (np.square(arrival_cv) + np.square(service_cv)) / 2
    return (mmc_wait_s(rate_per_s, service_s, servers) * roughness)[()]


def servers_for(rate_per_s: float, service_s: float, wait_slo_s: float, share: float = 0.95) -> int:
    """Fewest servers with which `share` of the requests in M/M/c wait no longer than `wait_slo_s`."""
    _check_service(rate_per_s, service_s)
    _check(wait_slo_s=wait_slo_s)
    load, share = float(rate_per_s) * float(service_s), float(_share(share))
    for servers, blocked in enumerate(_blocked(load), 1):
        if servers > load:
            late = _waiting(load, servers, blocked) * math.exp((load - servers) * wait_slo_s / service_s)
            if late <= 1 - share:
                return servers


def _load(rate_per_s, service_s, servers) -> tuple[np.ndarray, np.ndarray]:
    """rate x service, and the servers, as arrays. ValueError where they can't carry it."""
    _check_service(rate_per_s, service_s)
    load, servers = np.asarray(np.multiply(rate_per_s, service_s), dtype=float), _whole(servers)
    _refuse_overload(load, servers)
    return load, servers


def _refuse_overload(load: np.ndarray, servers: np.ndarray) -> None:
    load, servers = np.broadcast_arrays(load, servers)
    over = load >= servers
    if over.any():
        most, too_few = load[over][0], servers[over][0]
        raise ValueError(
            f"a load of {most:.6g} busy servers (rate x service) on servers={too_few}: the queue grows without end; "
            f"more than {most:.6g} servers are needed, {math.floor(most) + 1} would do"
        )


def _whole(servers) -> np.ndarray:
    servers = np.asarray(servers)
    bad = ~((servers >= 1) & (servers < 1e7) & (servers == np.floor(servers)))
    if bad.any():
        raise ValueError(f"servers={servers[bad].flat[0].item()!r}: a whole number, 1 or more, is needed")
    return servers.astype(np.int64)


def _share(share) -> np.ndarray:
    share = np.asarray(share, dtype=float)
    bad = ~((share >= 0) & (share < 1))
    if bad.any():
        raise ValueError(f"share={share[bad].flat[0].item()!r}: a share from 0 to below 1 is needed")
    return share


def _check_service(rate_per_s, service_s) -> None:
    _check(rate_per_s=rate_per_s, service_s=service_s)
    if not np.all(service_s):
        raise ValueError("service_s=0: more than 0 s is needed")


def _check(**values) -> None:
    for name, value in values.items():
        value = np.asarray(value, dtype=float)
        bad = ~((value >= 0) & (value < math.inf))
        if bad.any():
            raise ValueError(f"{name}={value[bad].flat[0].item()!r}: a finite number, 0 or more, is needed")
