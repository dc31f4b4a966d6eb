"""Published traces, fetched once from where their authors publish them, or traffic like them where that fails.

    traffic = azure_conversation()      # the original, or generated: `traffic.origin` says which

A file is fetched at a fixed commit, checked by its SHA-256 and kept in the user's cache. Where it can't be had within
some seconds, a generator fitted on it takes its place, and for the rest of the process nothing is tried again.
COURSE_OFFLINE=1 says that there is no network: a file in the cache is used, nothing is fetched.
Taught in: chapter 09.
"""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from course_utils.catalog.provenance import published
from course_utils.scale.generated_traffic import generate_traffic, workload
from course_utils.scale.sessions import generate_sessions
from course_utils.scale.traffic import Traffic
from course_utils.scale.traffic_files import read_traffic

# Long enough for 3 MB over a slow line, short enough to wait for once. A resolver without a network may take longer.
PATIENCE_S = 8.0


@dataclass(frozen=True)
class Original:
    """A published file: where it is, what its bytes must be, who publishes it, under which licence, as of when."""

    url: str
    sha256: str
    publisher: str
    licence: str
    as_of: date


_AZURE = "https://raw.githubusercontent.com/Azure/AzurePublicDataset/790921015d50dd6aae7f7e47f39ba0e235ad6b08/data/"
_MOONCAKE = "https://raw.githubusercontent.com/kvcache-ai/Mooncake/a2a4b18ac537fd798d50e6e9f57031ce86419a37/"
AZURE_CONVERSATION = Original(
    _AZURE + "AzureLLMInferenceTrace_conv.csv",
    "2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8",
    "Azure/AzurePublicDataset",
    "CC BY 4.0",
    date(2023, 11, 16),
)
AZURE_CODE = Original(
    _AZURE + "AzureLLMInferenceTrace_code.csv",
    "54e9a6d2a4bd06ba1e060304b900abbc74cbea53de96506e60fe5bb4f2277fb6",
    "Azure/AzurePublicDataset",
    "CC BY 4.0",
    date(2023, 11, 16),
)
MOONCAKE_CONVERSATION = Original(
    _MOONCAKE + "FAST25-release/traces/conversation_trace.jsonl",
    "b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df",
    "kvcache-ai/Mooncake",
    "Apache-2.0",
    date(2025, 2, 25),
)


def azure_conversation(*, seed: int = 0, requests: int | None = None) -> Traffic:
    """An hour of chat of 2023: 19,366 requests, 1,155 tokens in and 211 out (means); or the first `requests` of them.

    seed: of the generator, where the original can't be had.
    """
    return _published("azure_conversation", AZURE_CONVERSATION, _generated, seed, requests)


def azure_code(*, seed: int = 0, requests: int | None = None) -> Traffic:
    """An hour of code completion of 2023, in bursts: 8,819 requests, 2,048 tokens in and 28 out on average."""
    return _published("azure_code", AZURE_CODE, _generated, seed, requests)


def mooncake_conversation(*, seed: int = 0, requests: int | None = None) -> Traffic:
    """An hour of conversations of long prompts that share beginnings: 12,031 requests, 12,035 tokens in and 343 out."""
    return _published("mooncake_conversation", MOONCAKE_CONVERSATION, _sessions, seed, requests)


def _published(name: str, original: Original, generate: Callable, seed: int, requests: int | None) -> Traffic:
    if requests is not None and requests < 1:
        raise ValueError(f"requests={requests!r}: at least 1 is needed")
    there_are = workload(name).requests
    try:
        path = fetch_original(original)
    except OSError as problem:
        traffic = generate(name, there_are if requests is None else min(requests, there_are), seed)
        origin = f"{traffic.origin}; the original could not be fetched ({problem})"
        return replace(traffic, name=name, origin=origin)
    origin = f"original, {published(original.publisher, original.as_of)} ({original.licence})"
    traffic = replace(read_traffic(path), name=name, origin=origin)
    return traffic if requests is None else traffic.first(requests)


def _generated(name: str, requests: int, seed: int) -> Traffic:
    return generate_traffic(name, requests=requests, seed=seed)


def _sessions(name: str, requests: int, seed: int) -> Traffic:
    return generate_sessions(requests, seed=seed)


_failures: dict[tuple[Original, Path], str] = {}


def fetch_original(original: Original) -> Path:
    """Path of the file in the user's cache, fetched if it isn't there. COURSE_CACHE names another folder.

    OSError says why it can't be had; the next call in this process says the same at once.
    """
    import pooch

    folder = Path(os.environ.get("COURSE_CACHE") or pooch.os_cache("course-utils"))
    target = folder / original.url.rsplit("/", 1)[-1]
    if target.exists() and pooch.file_hash(str(target)) == original.sha256:
        return target
    if os.environ.get("COURSE_OFFLINE"):
        raise OSError("COURSE_OFFLINE is set")
    if (original, folder) not in _failures:
        failure = _fetch(original, target)
        if failure is None:
            return target
        _failures[original, folder] = failure
    raise OSError(_failures[original, folder])


def _fetch(original: Original, target: Path) -> str | None:
    """None once the file is there; else in a few words why it isn't.

    In a thread, because a resolver without a network can't be interrupted. One that comes too late serves the next
    process.
    """
    import pooch

    outcome = [f"no answer within {PATIENCE_S:g} s"]

    def work() -> None:
        try:
            downloader = pooch.HTTPDownloader(timeout=PATIENCE_S / 2)
            pooch.retrieve(
                original.url, f"sha256:{original.sha256}", target.name, target.parent, downloader=downloader
            )
            outcome[0] = None
        except ValueError:
            outcome[0] = "what was fetched has another checksum"
        except Exception as error:
            outcome[0] = type(error).__name__

    pooch.get_logger().setLevel(logging.WARNING)
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(PATIENCE_S)
    return outcome[0]
