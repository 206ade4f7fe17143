"""Every engine that can run a policy, behind one function; none is imported before it is asked for.

Run as a program it holds one engine only, and says what that costs: `python -m l0_surgical.runtime.engines
ENGINE POLICY`.
"""

import json
import sys
from collections.abc import Callable

import numpy as np

from l0_surgical.policy import Policy, find_policy, load_policy
from l0_surgical.runtime.reference import ReferenceEngine, limits_of
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.process import age_s, resident_mib

ENGINES = ("torch_eager", "onnxruntime", "numpy", "l0")

Act = Callable[[np.ndarray], np.ndarray]


def build(engine: str, policy: Policy) -> Act:
    """The function that computes an action (actions,) in that engine for an observation (obs_dim,) float64,
    with one thread.

    Raises:
        ImportError: the engine's package is missing.
    """
    if engine == "torch_eager":
        return _torch(policy)
    if engine == "onnxruntime":
        from l0_surgical.runtime.onnx_export import INPUT, onnx_model, onnx_session

        try:
            session = onnx_session(onnx_model(policy))
        except BadInputError as error:
            raise ImportError(str(error)) from error
        return lambda observation: session.run(None, {INPUT: observation.astype(np.float32)[None]})[0][0]
    if engine == "numpy":
        return ReferenceEngine(policy).act
    from l0_surgical import runtime

    return runtime.compile(policy).act


def _torch(policy: Policy) -> Act:
    import torch

    torch.set_num_threads(1)
    activations = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "linear": torch.nn.Identity}
    layers: list[torch.nn.Module] = []
    for layer in policy.layers:
        rows, columns = layer.weight.shape
        linear = torch.nn.Linear(columns, rows)
        linear.weight.data, linear.bias.data = torch.tensor(layer.weight.to_dense()), torch.tensor(layer.bias)
        layers += [linear, activations[layer.activation]()]
    network = torch.nn.Sequential(*layers)
    mean, scale = torch.tensor(policy.normalizer.mean), torch.tensor(policy.normalizer.scale)
    index = None if policy.input_index is None else torch.tensor(policy.input_index)
    low, high, half, middle = map(torch.tensor, limits_of(policy))
    clip = policy.normalizer.clip

    def act(observation: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            value = ((torch.as_tensor(observation, dtype=torch.float32) - mean) / scale).clamp(-clip, clip)
            value = network(value if index is None else value[index])
            return torch.minimum(torch.maximum(value * half + middle, low), high).numpy()

    return act


def main(engine: str, policy_name: str) -> None:
    """Prints the memory (MiB) and the seconds since this process began, after one action."""
    policy = load_policy(find_policy(policy_name))
    build(engine, policy)(policy.normalizer.mean.astype(np.float64))
    print(json.dumps({"first_action_s": age_s(), "resident_mib": resident_mib()}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
