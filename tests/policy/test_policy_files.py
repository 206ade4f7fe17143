"""The policy file: what is written comes back, equal policies are equal files, and nothing damaged or foreign
is accepted."""

import dataclasses
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from example_policies import random_policy
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from l0_surgical.policy import (
    Dense,
    Field,
    Layer,
    LowRank,
    Normalizer,
    PackedSparse,
    Policy,
    PolicyFileError,
    files,
    find_policy,
    format,
    load_policy,
    policy_bytes,
    policy_from_bytes,
    save_policy,
)


def mixed_policy(seed: int = 0) -> Policy:
    """Every representation at once, with unread inputs removed."""
    generator = np.random.default_rng(seed)
    sparse = generator.normal(size=(6, 4)) * (generator.random((6, 4)) < 0.4)
    base = random_policy(seed)
    return dataclasses.replace(
        base,
        layers=(
            Layer(PackedSparse.pack(sparse), generator.normal(size=6), "relu"),
            Layer(
                LowRank(generator.normal(size=(7, 2)), generator.normal(size=(2, 6))),
                generator.normal(size=7),
                "relu",
            ),
            Layer(Dense(generator.normal(size=(5, 7))), generator.normal(size=5), "tanh"),
        ),
        input_index=np.array([9, 0, 3, 4]),
    )


def header_of(data: bytes) -> dict:
    return json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])


def rewrite(data: bytes, edit) -> bytes:
    """The file with its metadata document (parsed) and tensors edited, the digest made right again: a
    well-formed but wrong file."""
    document = json.loads(header_of(data)["__metadata__"]["l0_surgical"])
    tensors = {name: array.copy() for name, array in load_tensors(data).items()}
    document.pop("sha256")
    edit(document, tensors)
    document["sha256"] = format._digest(document, tensors)
    return save_tensors(tensors, metadata={"l0_surgical": format._canonical(document)})


def refusal(data: bytes) -> str:
    with pytest.raises(PolicyFileError) as caught:
        policy_from_bytes(data)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


def test_everything_comes_back(tmp_path: Path) -> None:
    policy = mixed_policy()
    save_policy(policy, tmp_path / "deep" / "policy.safetensors")
    again = load_policy(tmp_path / "deep" / "policy.safetensors")
    for name in ("task", "inputs", "outputs", "gate_seed", "provenance", "evaluation", "trained_parameters"):
        assert getattr(again, name) == getattr(policy, name), name
    np.testing.assert_array_equal(again.input_index, policy.input_index)
    np.testing.assert_array_equal(again.normalizer.mean, policy.normalizer.mean)
    np.testing.assert_array_equal(again.normalizer.scale, policy.normalizer.scale)
    assert again.normalizer.clip == 5.0
    for before, after in zip(policy.layers, again.layers, strict=True):
        assert type(before.weight) is type(after.weight)
        assert before.activation == after.activation
        np.testing.assert_array_equal(before.weight.to_dense(), after.weight.to_dense())
        np.testing.assert_array_equal(before.bias, after.bias)


def test_the_bytes_are_a_function_of_the_policy() -> None:
    assert policy_bytes(mixed_policy()) == policy_bytes(mixed_policy())
    policy = mixed_policy()
    shuffled = dataclasses.replace(policy, provenance=dict(reversed(policy.provenance.items())))
    assert policy_bytes(shuffled) == policy_bytes(policy)
    assert policy_bytes(policy_from_bytes(policy_bytes(policy))) == policy_bytes(policy)
    assert policy_bytes(dataclasses.replace(policy, gate_seed=8)) != policy_bytes(policy)


def test_an_infinite_clip_comes_back() -> None:
    policy = dataclasses.replace(random_policy(), normalizer=Normalizer.identity(10))
    assert policy_from_bytes(policy_bytes(policy)).normalizer.clip == np.inf


def test_arrays_are_read_only_copies() -> None:
    weight = np.ones((2, 3), dtype=np.float32)
    layer = Layer(Dense(weight), np.zeros(2), "relu")
    weight[0, 0] = 5
    assert layer.weight.to_dense()[0, 0] == 1
    for array in (
        layer.weight.weight,
        layer.bias,
        policy_from_bytes(policy_bytes(mixed_policy())).layers[0].weight.values,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_representations_count_what_they_store() -> None:
    sparse = np.zeros((10, 13))
    sparse[2, 3], sparse[9, 12] = 1.5, -2.0
    packed = PackedSparse.pack(sparse)
    assert (packed.numbers, packed.nbytes) == (
        2 + 5,
        2 * 4 + 17,
    )  # 130 bits are 17 bytes, or five 32-bit numbers
    np.testing.assert_array_equal(packed.to_dense(), sparse.astype(np.float32))
    low_rank = LowRank(np.ones((10, 2)), np.ones((2, 13)))
    assert (low_rank.numbers, low_rank.nbytes, low_rank.shape, low_rank.rank) == (46, 184, (10, 13), 2)
    assert (Dense(sparse).numbers, Dense(sparse).nbytes) == (130, 520)
    assert PackedSparse.pack(np.zeros((2, 2))).numbers == 1


def test_every_single_flipped_bit_is_refused() -> None:
    policy = dataclasses.replace(
        random_policy(widths=(3, 2, 1)), provenance={"é\n": 1e-7}, inputs=(Field("x", 3, "m"),)
    )
    data = policy_bytes(policy)
    assert policy_from_bytes(data).provenance == {"é\n": 1e-7}
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        refusal(bytes(damaged))


def test_every_truncation_and_any_appendix_is_refused() -> None:
    data = policy_bytes(mixed_policy())
    for length in range(0, len(data), 7):
        refusal(data[:length])
    refusal(data + b"\0")


def test_random_damage_is_refused() -> None:
    data = policy_bytes(mixed_policy())
    generator = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(data)
        for _ in range(generator.integers(1, 20)):
            damaged[generator.integers(len(data))] = generator.integers(256)
        if bytes(damaged) != data:
            refusal(bytes(damaged))


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    assert "lacks its metadata" in refusal(save_tensors({"weight": np.ones(3, dtype=np.float32)}))
    assert "lacks its metadata" in refusal(
        save_tensors({"weight": np.ones(3, dtype=np.float32)}, metadata={"other": "{}"})
    )
    refusal(save_tensors({"weight": np.ones(3, dtype=np.float32)}, metadata={"l0_surgical": "[1"}))
    refusal(
        save_tensors(
            {"weight": np.ones(3, dtype=np.float32)}, metadata={"l0_surgical": "[" * 10**5 + "]" * 10**5}
        )
    )
    refusal(save_tensors({"weight": np.ones(3, dtype=np.float32)}, metadata={"l0_surgical": "[1]"}))
    refusal(b"\x80\x04\x95 a pickle, to be sure")
    for content in (b"", b"[]", b"[1]", b'{"__metadata__":3}', b'"text"', b"\xff\xff"):
        refusal(struct.pack("<Q", len(content)) + content)


def change_version(document: dict, tensors: dict) -> None:
    document["format"] = 2


def put_nan(document: dict, tensors: dict) -> None:
    tensors["layers.2.weight"][0, 0] = np.nan


def drop_bias(document: dict, tensors: dict) -> None:
    del tensors["layers.1.bias"]


def add_tensor(document: dict, tensors: dict) -> None:
    tensors["layers.9.weight"] = np.ones((2, 2), dtype=np.float32)


def widen(document: dict, tensors: dict) -> None:
    tensors["layers.1.u"] = np.ones((8, 2), dtype=np.float32)


def halve(document: dict, tensors: dict) -> None:
    tensors["layers.2.weight"] = tensors["layers.2.weight"].astype(np.float16)


def unknown_kind(document: dict, tensors: dict) -> None:
    document["policy"]["layers"][0]["representation"] = "quantised"


def no_task(document: dict, tensors: dict) -> None:
    del document["policy"]["task"]


def odd_activation(document: dict, tensors: dict) -> None:
    document["policy"]["layers"][0]["activation"] = "__import__('os')"


def huge(document: dict, tensors: dict) -> None:
    tensors["layers.1.u"] = np.ones((2**20, 1), dtype=np.float32)
    tensors["layers.1.v"] = np.ones((1, 2**20), dtype=np.float32)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (change_version, "format version 2; this program reads 1"),
        (put_nan, "1 NaN or infinite"),
        (drop_bias, "layers.1.bias"),
        (add_tensor, "layers.9.weight"),
        (widen, "layers.1 as [7, 6], but its tensors have [8, 6]"),
        (halve, "unexpected type in layers.2.weight"),
        (unknown_kind, "quantised"),
        (no_task, "task"),
        (odd_activation, "unknown activation"),
        (huge, "more than"),
    ],
)
def test_wrong_content_under_a_right_digest_is_refused(edit, words: str) -> None:
    assert words in refusal(rewrite(policy_bytes(mixed_policy()), edit))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Field("x", 0, "m"), "size of at least 1"),
        (lambda: Field("x", 1, "m", low=0.0), "one limit without the other"),
        (lambda: Field("x", 1, "m", 1.0, 1.0), "low < high"),
        (lambda: Field("x", 1, "m", -np.inf, np.inf), "finite limits"),
        (lambda: Normalizer(np.zeros(3), np.array([1, 0, 1])), "scale must be positive"),
        (lambda: Normalizer(np.zeros(3), np.ones(2)), "differ in shape"),
        (lambda: Normalizer(np.zeros(3), np.ones(3), np.nan), "clip must be positive"),
        (lambda: LowRank(np.ones((3, 2)), np.ones((1, 3))), "do not share a rank"),
        (lambda: PackedSparse(np.array([255], dtype=np.uint8), np.ones(8), (2, 3)), "does not fit"),
        (lambda: PackedSparse(np.array([128], dtype=np.uint8), np.ones(2), (2, 3)), "needs 1 finite values"),
        (lambda: Layer(Dense(np.ones((2, 3))), np.zeros(3), "relu"), "does not fit a weight"),
        (lambda: dataclasses.replace(random_policy(), layers=()), "no layers"),
        (lambda: dataclasses.replace(random_policy(), task=""), "task"),
        (lambda: dataclasses.replace(random_policy(), normalizer=Normalizer.identity(9)), "9 entries"),
        (lambda: dataclasses.replace(random_policy(), input_index=np.array([1, 1])), "different entries"),
        (
            lambda: dataclasses.replace(random_policy(), input_index=np.arange(9)),
            "layer 0 reads 10 numbers, but 9",
        ),
        (
            lambda: dataclasses.replace(random_policy(), layers=random_policy().layers[:2]),
            "last layer gives 12",
        ),
        (lambda: dataclasses.replace(random_policy(), trained_parameters=0), "trained_parameters"),
        (
            lambda: policy_bytes(dataclasses.replace(random_policy(), evaluation={"return": float("nan")})),
            "JSON",
        ),
    ],
)
def test_inconsistent_records_cannot_be_built(build, words: str) -> None:
    with pytest.raises(PolicyFileError, match=words):
        build()


def test_missing_files_folders_and_names(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.safetensors"):
        with pytest.raises(PolicyFileError, match="give the path"):
            load_policy(path)
        with pytest.raises(PolicyFileError, match="give the path"):
            find_policy(path)
    with pytest.raises(PolicyFileError, match=f"{tmp_path}/bad"):
        (tmp_path / "bad").write_bytes(b"bad")
        load_policy(tmp_path / "bad")


def test_shipped_policies_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shipped").mkdir()
    save_policy(mixed_policy(), tmp_path / "shipped" / "needle-reach-test.safetensors")
    monkeypatch.setattr(files.resources, "files", lambda package: tmp_path)
    assert find_policy("needle-reach-test") == tmp_path / "shipped" / "needle-reach-test.safetensors"
    with pytest.raises(PolicyFileError, match="one of: needle-reach-test"):
        find_policy("needle-reach-other")
    own = tmp_path / "own.safetensors"
    save_policy(mixed_policy(), own)
    assert find_policy(str(own)) == own


def test_a_full_disk_keeps_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    save_policy(mixed_policy(), path)
    before = path.read_bytes()
    script = """
import resource, signal, sys
from example_policies import random_policy
from l0_surgical.system.errors import L0SurgicalError
from l0_surgical.policy import save_policy
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    save_policy(random_policy(widths=(10, 256, 256, 5)), sys.argv[1])
except L0SurgicalError as error:
    print(error)
    sys.exit(error.exit_code)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "the version saved before is intact" in done.stdout
    assert done.stdout.count("\n") == 1
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_the_core_loads_neither_torch_nor_gymnasium() -> None:
    script = (
        "import sys, l0_surgical.runtime; print([name for name in ('torch', 'gymnasium', 'pybullet') if "
        "name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
