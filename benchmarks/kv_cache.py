"""KV cache: decode with and without, by context, in one run; what a step costs through each kind of cache.

    python benchmarks/kv_cache.py [--hidden 1024] [--layers 4]

Random weights at a real width: the ratio is what counts. The fastest of several samples is compared.
"""

import argparse
import time

import torch

from course_utils.cache.kv import GrowingKv, StaticKv, WindowKv
from course_utils.cache.kv_model import for_model, held_bytes, step, step_times
from course_utils.cache.kv_paged import BlockPool, PagedKv
from course_utils.cache.kv_quantized import QuantizedKv
from course_utils.measure.machine import describe
from course_utils.measure.models import random_llama
from course_utils.measure.runtime import fit_threads

CONTEXT = 512


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--hidden", type=int, default=1024)
    options.add_argument("--layers", type=int, default=4)
    chosen = options.parse_args()
    threads = fit_threads()
    loaded = random_llama(chosen.hidden, chosen.layers, device="cpu")
    model = loaded.model
    print(f"{loaded.label}; {describe().cpu}, {threads} threads\n")
    print("context   with cache    without      ratio")
    for one in step_times(model, [64, 128, 256, CONTEXT], turns=4):
        cached, anew = min(one.with_cache_s) * 1e3, min(one.without_s) * 1e3
        print(f"{one.context_tokens:7} {cached:9.1f} ms {anew:8.1f} ms {one.speedup:8.1f} x")
    heads, width = model.config.num_key_value_heads, model.config.head_dim
    kinds = {
        "growing": GrowingKv,
        "static": lambda: StaticKv(2 * CONTEXT),
        "paged": lambda: PagedKv(BlockPool(2 * CONTEXT // 16, 16, heads, width)),
        "window 252 + 4": lambda: WindowKv(252, 4),
        "int8": lambda: QuantizedKv(8),
        "int4": lambda: QuantizedKv(4),
    }
    ids = torch.randint(model.config.vocab_size, (1, CONTEXT + 12))
    caches = {name: for_model(model, make) for name, make in kinds.items()}
    for cache in caches.values():
        step(model, ids[:, :CONTEXT], cache)
    samples = {name: [] for name in kinds}
    for at in range(CONTEXT, CONTEXT + 12):
        for name, cache in caches.items():
            started = time.perf_counter()
            step(model, ids[:, at : at + 1], cache)
            samples[name].append(time.perf_counter() - started)
    print(f"\nat {CONTEXT} tokens    step       held (fp32 model)")
    for name, cache in caches.items():
        print(f"{name:15} {min(samples[name]) * 1e3:6.1f} ms {held_bytes(cache) / 2**20:8.2f} MiB")


if __name__ == "__main__":
    main()
