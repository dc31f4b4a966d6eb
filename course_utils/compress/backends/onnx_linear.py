"""ONNX Runtime, one small graph per layer: dynamic int8, and MatMulNBits for 4 bits.

Sources: onnxruntime's `quantize_dynamic`; com.microsoft.MatMulNBits in onnxruntime's ContribOperators.md.
Taught in: chapter 03, chapter 04.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from course_utils.compress.backends.capability import here
from course_utils.compress.backends.layer import ConvertedLinear
from course_utils.compress.packing import pack4
from course_utils.compress.rounding import Quantized, quantize

_OPSET, _IR_VERSION = 17, 8  # old enough for every onnxruntime since 1.16


class OrtLinear(ConvertedLinear):
    """A graph in ONNX Runtime. It takes as many threads as torch had when the layer was made.

    The saved state is the graph itself, as bytes; onnxruntime keeps its own copy of the weights beside it.
    """

    @classmethod
    def holding(cls, linear: nn.Linear, graph: onnx.ModelProto) -> "OrtLinear":
        layer = cls(linear.in_features, linear.out_features)
        graph_bytes = np.frombuffer(bytearray(graph.SerializeToString()), np.uint8)
        layer.register_buffer("graph", torch.from_numpy(graph_bytes))
        return layer._started()

    @classmethod
    def restore(cls, linear: nn.Linear, state: dict, **options) -> "OrtLinear":
        layer = cls(linear.in_features, linear.out_features)
        layer.register_buffer("graph", state["graph"])
        return layer._started()

    def forward(self, x: Tensor) -> Tensor:
        # [1, tokens, in]: MatMulNBits at accuracy level 4 is for inputs of three dimensions only.
        flat = x.detach().reshape(1, -1, self.in_features).float()
        y = self.running.run(None, {"x": flat.numpy()})[0]
        return torch.from_numpy(y).to(x.dtype).reshape(*x.shape[:-1], self.out_features)

    def _started(self) -> "OrtLinear":
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Each layer has its own pool: threads that spin while they wait would take the cores from the next one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.running = onnxruntime.InferenceSession(
            self.graph.numpy().tobytes(), options, providers=["CPUExecutionProvider"]
        )
        return self.eval()

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "running"}

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        self._started()


class OrtInt8Linear(OrtLinear):
    """int8 weights with a scale per row; inputs get scale and zero point at each call."""

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> "OrtInt8Linear":
        from onnxruntime.quantization import QuantType, quantize_dynamic

        weight = numpy_helper.from_array(np.ascontiguousarray(_array(linear.weight).T), "w")
        graph = _model([helper.make_node("MatMul", ["x", "w"], ["xw"])], [weight], linear)
        # Says that there is nothing to prepare, so that quantize_dynamic doesn't log advice to do it.
        helper.set_model_props(graph, {"onnx.quant.pre_process": "onnxruntime.quant"})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "layer.onnx"
            quantize_dynamic(
                graph,
                path,
                per_channel=True,
                # Without VNNI, sums of two products saturate at 16 bits: weights of 7 bits can't get there.
                reduce_range="VNNI" not in here().cpu_features,
                weight_type=QuantType.QInt8,
            )
            return cls.holding(linear, onnx.load(path))


class OrtInt4Linear(OrtLinear):
    """4-bit codes, a scale and perhaps a zero point per group; accuracy level 4 rounds inputs to int8."""

    @classmethod
    def from_linear(
        cls,
        linear: nn.Linear,
        group_size: int,
        scheme: str,
        quantized: Quantized | None,
        accuracy_level: int,
    ) -> "OrtInt4Linear":
        """Round the weights, or take codes that GPTQ or AWQ chose. ValueError for a group size it can't do."""
        group_size = group_size if quantized is None else quantized.group_size
        if group_size < 16 or group_size & (group_size - 1):
            raise ValueError(f"group_size is {group_size}, expected a power of two from 16 for MatMulNBits")
        if quantized is None:
            quantized = quantize(linear.weight.cpu(), bits=4, per=group_size, scheme=scheme)
        cls.check_codes(linear, quantized)
        rows, groups = quantized.scale.shape
        tensors = {
            "codes": pack4(quantized.codes).reshape(rows, groups, group_size // 2),
            "scales": quantized.scale.flatten(),
        }
        if quantized.zero is not None:
            # A row's zero points start on a whole byte.
            even = nn.functional.pad(quantized.zero, (0, groups % 2))
            tensors["zeros"] = pack4(even)
        node = helper.make_node(
            "MatMulNBits",
            ["x", *tensors],
            ["xw"],
            domain="com.microsoft",
            K=linear.in_features,
            N=linear.out_features,
            bits=4,
            block_size=group_size,
            accuracy_level=accuracy_level,
        )
        weights = [numpy_helper.from_array(_numpy(value), name) for name, value in tensors.items()]
        return cls.holding(linear, _model([node], weights, linear))


def _model(nodes: list, weights: list, linear: nn.Linear) -> onnx.ModelProto:
    """x [1, tokens, in] → y [1, tokens, out] through `nodes`, which end in "xw", and the bias."""
    if linear.bias is None:
        nodes[-1].output[0] = "y"
    else:
        weights = [*weights, numpy_helper.from_array(_array(linear.bias), "bias")]
        nodes = [*nodes, helper.make_node("Add", ["xw", "bias"], ["y"])]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "tokens", size])
        for name, size in (("x", linear.in_features), ("y", linear.out_features))
    ]
    graph = helper.make_graph(nodes, "linear", ends[:1], ends[1:], weights)
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)


def _array(parameter: Tensor) -> np.ndarray:
    return _numpy(parameter.detach().float())


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.contiguous().cpu().numpy()
