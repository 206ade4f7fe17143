"""The bytes of a policy file: a safetensors file with one metadata entry, `l0_surgical`, that is canonical
JSON.

The JSON (sorted keys, no spaces, ASCII) holds the format version, the policy's description and a SHA-256 over
everything else in the file: the JSON without the digest, and each tensor's name, type, shape and bytes. So
the bytes are a function of the policy alone, and no flipped bit passes. Reading parses JSON and copies
numbers; it runs no code from the file.
"""

import hashlib
import json
import math
from dataclasses import asdict
from typing import Any, NoReturn

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from l0_surgical.policy.records import (
    Dense,
    Field,
    Layer,
    LowRank,
    Normalizer,
    PackedSparse,
    Policy,
    PolicyFileError,
    Weight,
)

FORMAT_VERSION = 1
ENTRY = "l0_surgical"
_DTYPES = {"float32", "uint8", "int64"}


def encode(policy: Policy) -> bytes:
    """The file of a policy, byte for byte the same for equal policies.

    Raises:
        PolicyFileError: provenance or evaluation hold something that JSON cannot (NaN, an array).
    """
    tensors = {"normalizer.mean": policy.normalizer.mean, "normalizer.scale": policy.normalizer.scale}
    if policy.input_index is not None:
        tensors["input_index"] = policy.input_index
    layers = []
    for number, layer in enumerate(policy.layers):
        kind, parts = _weight_parts(layer.weight)
        tensors |= {
            f"layers.{number}.{name}": array for name, array in (parts | {"bias": layer.bias}).items()
        }
        layers.append(
            {"representation": kind, "shape": list(layer.weight.shape), "activation": layer.activation}
        )
    clip = policy.normalizer.clip
    document = {
        "format": FORMAT_VERSION,
        "policy": {
            "task": policy.task,
            "inputs": [asdict(part) for part in policy.inputs],
            "outputs": [asdict(part) for part in policy.outputs],
            "clip": None if math.isinf(clip) else clip,
            "layers": layers,
            "gate_seed": policy.gate_seed,
            "trained_parameters": policy.trained_parameters,
            "provenance": dict(policy.provenance),
            "evaluation": dict(policy.evaluation),
        },
    }
    try:
        document["sha256"] = _digest(document, tensors)
        text = _canonical(document)
    except (TypeError, ValueError, RecursionError) as error:
        raise PolicyFileError(
            f"the policy's provenance or evaluation cannot be written as JSON: {error}"
        ) from error
    return save(tensors, metadata={ENTRY: text})


def decode(data: bytes) -> Policy:
    """The policy in the bytes of a file.

    Raises:
        PolicyFileError: they are not an undamaged policy file of this format version.
    """
    document = _read_document(data)
    try:
        tensors = load(data)
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise PolicyFileError(f"is truncated or damaged ({_one_line(error)}); copy it again") from error
    digest = document.pop("sha256", None)
    if digest != _digest(document, tensors):
        raise PolicyFileError("is damaged: its SHA-256 does not match its content; copy it again")
    try:
        return _build(document["policy"], tensors)
    except PolicyFileError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise PolicyFileError(
            f"does not describe a policy ({type(error).__name__}: {_one_line(error)})"
        ) from error


def _read_document(data: bytes) -> dict[str, Any]:
    """The metadata's JSON, checked to be canonical and of this version; the safetensors library gives
    metadata only for a path."""
    header_size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header_size > len(data) - 8:
        raise PolicyFileError("is truncated or no policy file (its header does not fit); copy it again")
    try:
        text = json.loads(data[8 : 8 + header_size])["__metadata__"][ENTRY]
    except (KeyError, TypeError) as error:
        raise PolicyFileError(
            "is no policy of l0_surgical (it lacks its metadata); save one with `l0-surgical train`"
        ) from error
    except (ValueError, RecursionError) as error:
        raise PolicyFileError(
            "is damaged or no policy file (its header is not JSON); copy it again"
        ) from error
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
        if isinstance(document, dict) and document.get("format") not in (None, FORMAT_VERSION):
            raise PolicyFileError(
                f"has the format version {document['format']!r}; this program reads {FORMAT_VERSION}, so "
                "update it"
            )
        canonical = _canonical(document) == text
    except PolicyFileError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise PolicyFileError("is damaged: its metadata is not JSON; copy it again") from error
    if not canonical or not isinstance(document, dict):
        raise PolicyFileError("is damaged: its metadata is not as it was written; copy it again")
    return document


def _build(description: dict[str, Any], tensors: dict[str, np.ndarray]) -> Policy:
    if wrong := sorted(name for name, array in tensors.items() if str(array.dtype) not in _DTYPES):
        raise PolicyFileError(f"holds numbers of an unexpected type in {', '.join(wrong)}")
    layers = tuple(
        Layer(
            _build_weight(layer["representation"], layer["shape"], f"layers.{number}.", tensors),
            tensors.pop(f"layers.{number}.bias"),
            layer["activation"],
        )
        for number, layer in enumerate(description["layers"])
    )
    clip = description["clip"]
    policy = Policy(
        task=description["task"],
        inputs=tuple(Field(**part) for part in description["inputs"]),
        outputs=tuple(Field(**part) for part in description["outputs"]),
        normalizer=Normalizer(
            tensors.pop("normalizer.mean"),
            tensors.pop("normalizer.scale"),
            math.inf if clip is None else clip,
        ),
        layers=layers,
        trained_parameters=description["trained_parameters"],
        input_index=tensors.pop("input_index", None),
        gate_seed=description["gate_seed"],
        provenance=description["provenance"],
        evaluation=description["evaluation"],
    )
    if tensors:
        raise PolicyFileError(f"holds tensors that belong to no layer: {', '.join(sorted(tensors))}")
    return policy


def _weight_parts(weight: Weight) -> tuple[str, dict[str, np.ndarray]]:
    if isinstance(weight, Dense):
        return "dense", {"weight": weight.weight}
    if isinstance(weight, LowRank):
        return "low_rank", {"u": weight.u, "v": weight.v}
    return "packed_sparse", {"mask": weight.mask, "values": weight.values}


def _build_weight(kind: str, shape: list[int], prefix: str, tensors: dict[str, np.ndarray]) -> Weight:
    if kind == "dense":
        weight: Weight = Dense(tensors.pop(prefix + "weight"))
    elif kind == "low_rank":
        weight = LowRank(tensors.pop(prefix + "u"), tensors.pop(prefix + "v"))
    elif kind == "packed_sparse":
        weight = PackedSparse(tensors.pop(prefix + "mask"), tensors.pop(prefix + "values"), tuple(shape))
    else:
        raise PolicyFileError(f"has the unknown representation {kind!r} in {prefix.rstrip('.')}")
    if list(weight.shape) != shape:
        raise PolicyFileError(
            f"declares {prefix.rstrip('.')} as {shape}, but its tensors have {list(weight.shape)}"
        )
    return weight


def _digest(document: dict[str, Any], tensors: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(_canonical(document).encode())
    for name, array in sorted(tensors.items()):
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _canonical(document: Any) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
