"""Prefix cache on a real conversation trace: hits and loads by routing, hits by capacity, look-ups per second.

    python benchmarks/prefix_cache.py TRACE.jsonl     # a copy that you have
    python benchmarks/prefix_cache.py                 # fetched once, with a checksum, from where Mooncake publishes it

The trace isn't part of the course; without it and without a network the generated one is replayed, and said so.
"""

import argparse
import math
import time
from pathlib import Path

from course_utils.cache.conversations import Conversations, generate_conversations, read_mooncake
from course_utils.cache.prefix import PrefixCache
from course_utils.cache.prefix_replay import affinity, least_loaded, replay, round_robin

ADDRESS = "https://raw.githubusercontent.com/kvcache-ai/Mooncake/main/FAST25-release/traces/conversation_trace.jsonl"
SHA256 = "b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df"
REPLICAS, CAPACITY = 4, 10_000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("trace", nargs="?", type=Path, help="JSON lines in Mooncake's layout")
    trace = _trace(options.parse_args().trace)
    print(
        f"{trace.name}: {len(trace):,} requests, {trace.asked_blocks:,} blocks of {trace.block_tokens} tokens"
    )
    print(
        f"\n{REPLICAS} replicas of {CAPACITY:,} blocks\n"
        "routing         hits  most / mean tokens computed  most / mean requests"
    )
    routes = {"round robin": round_robin(), "least loaded": least_loaded(), "affinity": affinity()}
    for name, route in routes.items():
        one = replay(trace, CAPACITY, REPLICAS, route)
        print(f"{name:13} {one.hit_share:6.1%} {one.load_ratio:28.3f} {one.request_ratio:21.3f}")
    endless = replay(trace)
    print(f"{'endless, one':13} {endless.hit_share:6.1%}")
    print("\none replica\ncapacity (blocks)   hits   of the endless cache's")
    for blocks in (1_000, 3_000, 10_000, 30_000, 100_000):
        share = replay(trace, blocks).hit_share
        print(f"{blocks:17,} {share:6.1%} {share / endless.hit_share:10.0%}")
    rates = [_look_ups_per_s(trace, capacity) for capacity in (math.inf, CAPACITY) for _ in range(3)]
    print(
        f"\nlook up, hold, insert, evict, release: {max(rates) / 1e6:.2f} M blocks/s, "
        f"the best of {len(rates)} runs here"
    )


def _look_ups_per_s(trace: Conversations, capacity: float) -> float:
    cache, started = PrefixCache(capacity), time.perf_counter()
    for names in trace.blocks:
        cache.serve(names)
    return trace.asked_blocks / (time.perf_counter() - started)


def _trace(path: Path | None) -> Conversations:
    if path is not None:
        return read_mooncake(path)
    try:
        import pooch

        return read_mooncake(pooch.retrieve(ADDRESS, known_hash=f"sha256:{SHA256}", progressbar=True))
    except Exception as problem:  # no network, no pooch, another file: each with its own kind of error
        print(
            f"The trace could not be fetched ({type(problem).__name__}); a generated one is replayed instead."
        )
        return generate_conversations(12_000)


if __name__ == "__main__":
    main()
