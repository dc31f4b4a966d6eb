"""The tiny model's graph with a KV cache of its own: one row of it per running sequence, written in place.

Taught in: chapter 09.
"""

from pathlib import Path

import numpy as np


class Decoder:
    """Runs the graph at `path` for at most `rows` sequences at once, on one thread.

    `context_tokens` a sequence can hold, `end_token` ends a text, `vocabulary` is the number of tokens.
    """

    def __init__(self, path: Path, rows: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Replicas share the machine's cores; threads that spin while they wait would take them from each other.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        facts = self._session.get_modelmeta().custom_metadata_map
        self.context_tokens = int(facts["context_tokens"])
        self.end_token = int(facts["end_token"])
        self.vocabulary = self._session.get_outputs()[0].shape[-1]
        self._cache = {}
        for one in self._session.get_inputs():
            if one.name.startswith(("keys_", "values_")):
                _, heads, _, width = one.shape
                self._cache[one.name] = np.zeros((rows, heads, self.context_tokens, width), np.float32)
        self._logits = np.empty((rows, self.vocabulary), np.float32)

    def step(self, first_row: int, tokens: np.ndarray, past: np.ndarray) -> np.ndarray:
        """Logits [sequences, vocabulary] after the last of `tokens` [sequences, new], in rows from `first_row` on.

        `past` [sequences]: tokens that each row holds already. Several new tokens at once are for a single sequence.
        The result is overwritten by the next step.
        """
        sequences, new = tokens.shape
        last = (past + new - 1).astype(np.int32)
        inputs = {"tokens": tokens, "last": last, "longest": last.max(keepdims=True) + 1}
        logits = self._logits[:sequences]
        binding = self._session.io_binding()
        for name, values in inputs.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(values))
        binding.bind_output("logits", "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
        for name, whole in self._cache.items():
            rows = whole[first_row : first_row + sequences]
            binding.bind_input(name, "cpu", 0, np.float32, rows.shape, rows.ctypes.data)
            # The same memory: the step adds its tokens to the cache instead of copying it (25 MB for 8 rows).
            binding.bind_output(f"new_{name}", "cpu", 0, np.float32, rows.shape, rows.ctypes.data)
        self._session.run_with_iobinding(binding)
        return logits

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy the first `tokens` tokens of row `source` over row `target`: running rows stay side by side."""
        for whole in self._cache.values():
            whole[target, :, :tokens] = whole[source, :, :tokens]
