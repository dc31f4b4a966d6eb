"""What `import course_utils` costs, beside a bare Python and beside the libraries that it leaves alone."""

import statistics
import subprocess
import sys
import time

CODES = {
    "python alone": "pass",
    "import course_utils": "import course_utils",
    "import numpy": "import numpy",
    "import plotly.graph_objects": "import plotly.graph_objects",
    "import torch": "import torch",
}
ROUNDS = 7


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    for code in CODES.values():
        seconds(code)  # warm the file cache
    rounds = [{name: seconds(code) for name, code in CODES.items()} for _ in range(ROUNDS)]
    bare = statistics.median(row["python alone"] for row in rounds)
    print(f"Python {sys.version.split()[0]}, {ROUNDS} interleaved rounds, median [min, max]")
    for name in CODES:
        samples = sorted(row[name] for row in rounds)
        median = statistics.median(samples)
        print(
            f"{name:28} {median * 1e3:7.0f} ms [{samples[0] * 1e3:.0f}, {samples[-1] * 1e3:.0f}]"
            f"   import alone {(median - bare) * 1e3:6.0f} ms"
        )
    ours = statistics.median(row["import course_utils"] - row["python alone"] for row in rounds)
    print(f"import course_utils: {ours * 1e3:.0f} ms, bound 250 ms: {'met' if ours < 0.25 else 'MISSED'}")


if __name__ == "__main__":
    main()
