"""A policy as an ONNX model: normaliser, layers in their compressed form and limits inside."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from l0_surgical.policy import Layer, LowRank, Policy
from l0_surgical.runtime.reference import limits_of
from l0_surgical.runtime.verification import worst_difference
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import atomic_write

if TYPE_CHECKING:
    import onnx

OPSET = 13
IR_VERSION = 8
"""ONNX 1.9 and ONNX Runtime 1.8 (2021) read these."""
INPUT, OUTPUT = "observation", "action"


def export_onnx(policy: Policy, path: str | Path) -> float | None:
    """Writes `policy` as an ONNX model: `observation` (batch, obs_dim) float32 in, `action` (batch, actions)
    float32 out, in their units.

    A low-rank weight becomes two products, a packed one is written out. Unlike the engines the model does not
    refuse what is not finite.

    Args:
        policy: what to export.
        path: the .onnx file; one that is there is replaced.

    Returns:
        The largest difference from the reference engine over 1 000 random observations in ONNX Runtime; None
        where that is not installed.

    Raises:
        BadInputError: onnx is not installed, or the folder cannot be written.
    """
    model = onnx_model(policy)
    with atomic_write(path) as file:
        file.write(model.SerializeToString())
    try:
        session = onnx_session(model)
    except ImportError:
        return None
    return worst_difference(policy, lambda batch: session.run(None, {INPUT: batch})[0])


def onnx_model(policy: Policy) -> "onnx.ModelProto":
    """The model; raises BadInputError without onnx."""
    try:
        from onnx import TensorProto, checker, helper
    except ImportError as error:
        raise BadInputError(
            f"the export needs the package onnx ({error}); install it with: pip install 'l0_surgical[export]'"
        ) from error

    graph = _Graph()
    value = _normalized(graph, policy)
    for number, layer in enumerate(policy.layers):
        value = _layer(graph, layer, number, value)
    low, high, half, middle = limits_of(policy)
    if any(part.low is not None for part in policy.outputs):
        value = graph.add("Mul", "scaled", value, graph.constant("half_range", half))
        value = graph.add("Add", "shifted", value, graph.constant("middle", middle))
        value = graph.add("Max", "at_least", value, graph.constant("low", low))
        value = graph.add("Min", "at_most", value, graph.constant("high", high))
    graph.add("Identity", OUTPUT, value)
    sizes = {INPUT: policy.observation_size, OUTPUT: policy.action_size}
    ends = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name, size in sizes.items()
    }
    model = helper.make_model(
        helper.make_graph(graph.nodes, "policy", [ends[INPUT]], [ends[OUTPUT]], graph.constants),
        producer_name="l0_surgical",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    fields = {
        name: ", ".join(f"{part.name} {part.size} {part.unit}" for part in parts)
        for name, parts in _fields(policy).items()
    }
    helper.set_model_props(model, {"task": policy.task, **fields})
    checker.check_model(model, full_check=True)
    return model


def onnx_session(model: "onnx.ModelProto") -> Any:
    """An ONNX Runtime session of one thread; raises ImportError without onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@dataclass
class _Graph:
    """Nodes and constants in the making."""

    nodes: list["onnx.NodeProto"] = field(default_factory=list)
    constants: list["onnx.TensorProto"] = field(default_factory=list)

    def constant(self, name: str, values: np.ndarray) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, operator: str, output: str, *inputs: str, **attributes: object) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output


def _fields(policy: Policy) -> dict[str, Any]:
    return {"inputs": policy.inputs, "outputs": policy.outputs}


def _normalized(graph: _Graph, policy: Policy) -> str:
    normalizer, index = policy.normalizer, policy.input_index
    value, mean, scale = INPUT, normalizer.mean, normalizer.scale
    if index is not None:
        value = graph.add("Gather", "read", value, graph.constant("input_index", index), axis=1)
        mean, scale = mean[index], scale[index]
    value = graph.add("Sub", "centred", value, graph.constant("mean", mean))
    value = graph.add("Div", "normalized", value, graph.constant("scale", scale))
    if np.isfinite(normalizer.clip):
        bounds = (
            graph.constant(name, np.array(bound, np.float32))
            for name, bound in (("low_clip", -normalizer.clip), ("clip", normalizer.clip))
        )
        value = graph.add("Clip", "clipped", value, *bounds)
    return value


def _layer(graph: _Graph, layer: Layer, number: int, value: str) -> str:
    weight = layer.weight
    factors = (
        [("v", weight.v), ("u", weight.u)] if isinstance(weight, LowRank) else [("weight", weight.to_dense())]
    )
    for name, factor in factors:
        name = f"layer{number}_{name}"
        value = graph.add("MatMul", f"{name}_product", value, graph.constant(name, factor.T))
    value = graph.add("Add", f"layer{number}_sum", value, graph.constant(f"layer{number}_bias", layer.bias))
    operator = {"relu": "Relu", "tanh": "Tanh"}.get(layer.activation)
    return value if operator is None else graph.add(operator, f"layer{number}_{layer.activation}", value)
