"""state_dicts, and the files that PyTorch keeps them in."""

from __future__ import annotations

import io
import pickle
import re
import sys
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from network_files import members_of, rebuild, refused

import nncore
from nncore import formats
from nncore.formats.arrays import ActivationsMissing

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from interop.test_torch import same_network, samples, truth  # noqa: E402
from interop.torch_zoo import error_bound, made, mlp  # noqa: E402

nn = torch.nn


def state_of(module, prefix=""):
    """A state_dict as any program has it: no more than names and tensors."""
    return {prefix + key: value for key, value in module.state_dict().items()}


def agrees(net, module, name="test"):
    x = samples(name, module)
    assert (np.abs(net(x) - truth(module, x)) <= error_bound(net, x)).all()


# ---- state_dicts


@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "model.net.", "model._orig_mod.net.2."]
)
def test_prefixes(prefix):
    module = made("mnist")
    net = nncore.from_torch(state_of(module, prefix), ["sigmoid", "sigmoid", "softmax"])
    same_network(net, nncore.from_torch(module))


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict"])
def test_checkpoints(key):
    module = mlp(5, 4, 3)
    checkpoint = {"epoch": 3, "optimizer": {"lr": 0.1}, key: state_of(module, "model.")}
    same_network(nncore.from_torch(checkpoint, ["relu", "identity"]), nncore.from_torch(module))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtypes(dtype):
    module = mlp(5, 4, 3).to(getattr(torch, dtype))
    net = nncore.from_torch(state_of(module), [nncore.relu, "identity"])
    same_network(net, nncore.from_torch(module))


def named(*names, sizes=None):
    """A state_dict of Linear layers of these names, by default all of one size."""
    sizes = sizes or [4] * (len(names) + 1)
    parts = nn.ModuleDict()
    for i, name in enumerate(names):
        parts[name] = nn.Linear(sizes[i], sizes[i + 1])
    return {key: value.detach() for key, value in parts.state_dict().items()}


def order_of(net, state):
    """The names of the layers in the order that the network has."""
    names = {value.numpy().tobytes(): key for key, value in state.items() if "bias" in key}
    return [names[layer.bias.tobytes()].removesuffix(".bias") for layer in net.layers]


def test_numbers_decide_the_order_over_keys():
    """As safetensors.torch.load_file gives them: sorted by name."""
    state = state_of(nn.Sequential(*(nn.Linear(3, 3) for _ in range(12))))
    lexical = {key: state[key] for key in sorted(state)}
    net = nncore.from_torch(lexical, ["identity"] * 12)
    assert order_of(net, state) == [str(i) for i in range(12)]
    state = named("fc1", "fc2", "fc10")
    shuffled = dict(reversed(state.items()))
    assert order_of(nncore.from_torch(shuffled, ["relu"] * 3), state) == ["fc1", "fc2", "fc10"]


def test_else_the_keys_decide():
    state = named("stem", "body", "a", "head")
    with pytest.warns(UserWarning, match="in the order of their keys, stem, body, a, head, which"):
        net = nncore.from_torch(state, ["relu"] * 4)
    assert order_of(net, state) == ["stem", "body", "a", "head"]


def test_keys_against_the_numbers():
    state = named("fc1", "out", "fc10", "fc2")
    text = "'fc10' stands before layer 'fc2', expected the keys in the order of the layers"
    with pytest.raises(ValueError, match=text):
        nncore.from_torch(state, ["relu"] * 4)


NORMS = {
    # a Sequential whose numbers say where each activation stands
    "before": ([("L", 6, 5), ("N", 5), "A", ("L", 5, 3)], ["relu", "identity"]),
    "after": ([("L", 6, 5), "A", ("N", 5), ("L", 5, 3)], ["relu", "identity"]),
    "first": ([("N", 6), ("L", 6, 5), "A", ("L", 5, 3)], ["relu", "identity"]),
    "last": ([("L", 6, 5), ("N", 5), "A"], ["relu"]),
    "both": ([("L", 6, 5), ("N", 5), "A", ("N", 5), ("L", 5, 3)], ["relu", "identity"]),
    "none": ([("L", 6, 5), "D", ("N", 5), "D", ("L", 5, 3)], ["identity", "identity"]),
    "told after": (
        [("L", 6, 5), "A", ("N", 5), "D", ("L", 5, 3)],
        ["relu", "batch_norm", "identity"],
    ),
    "told before": (
        [("N", 6), ("L", 6, 5), "D", ("N", 5), "A", ("L", 5, 3)],
        ["batch_norm", "batch_norm", "relu", "identity"],
    ),
    "told, last": ([("L", 6, 5), "A", ("N", 5)], ["relu", "batch_norm"]),
}  # fmt: skip


def sequence(parts):
    torch.manual_seed(1)
    kinds = {"L": nn.Linear, "N": nn.BatchNorm1d, "A": nn.ReLU, "D": nn.Dropout}
    module = nn.Sequential(*(kinds[part[0]](*part[1:]) for part in parts))
    for part in module:
        if isinstance(part, nn.BatchNorm1d):
            for tensor in (part.running_mean, part.running_var, part.weight, part.bias):
                nn.init.uniform_(tensor, 0.5, 2)
    return module


@pytest.mark.parametrize("name", NORMS)
def test_where_norms_stand(name):
    parts, activations = NORMS[name]
    module = sequence(parts)
    net = nncore.from_torch(state_of(module), activations)
    same_network(net, nncore.from_torch(module))
    agrees(net, module)


@pytest.mark.parametrize(
    ("parts", "activations", "text"),
    [
        ([("L", 6, 5), "A", ("N", 5), "D", ("L", 5, 3)], ["relu", "relu"],
         "layer '2' is a batch normalisation, and a state_dict does not tell whether it stands"),
        ([("L", 6, 5), "A", ("N", 5)], ["relu"], "layer '2' is a batch normalisation"),
        ([("L", 6, 5), ("N", 5), ("L", 5, 3)], ["relu", "relu"], "layer '1' is a batch normalis"),
        ([("L", 6, 5), ("N", 5), "A"], ["batch_norm", "batch_norm", "relu"], "2 times, expected 1"),
        ([("N", 6), ("L", 6, 5), "A"], ["relu", "batch_norm"], "begins with 'relu', expected"),
        ([("L", 6, 6), ("N", 6), ("L", 6, 6)], ["relu", "relu", "batch_norm"], "for layer '0', ex"),
    ],
)  # fmt: skip
def test_norms_of_which_the_place_is_unknown(parts, activations, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        nncore.from_torch(state_of(sequence(parts)), activations)


@pytest.mark.parametrize("names", [("fc1", "bn1", "out"), ("fcs.0", "bns.0", "fcs.1")])
def test_norms_with_names_need_to_be_told(names):
    module = sequence([("L", 5, 4), ("N", 4), "A", ("L", 4, 4)])
    new = dict(zip("013", names, strict=True))
    state = {new[key[0]] + key[1:]: value for key, value in state_of(module).items()}
    with pytest.raises(ValueError, match=rf"layer '{names[1]}' is a batch normalisation"):
        nncore.from_torch(state, ["relu", "identity"])
    net = nncore.from_torch(state, ["batch_norm", "relu", "identity"])
    same_network(net, nncore.from_torch(module))


@pytest.mark.parametrize(
    ("change", "activations", "text"),
    [
        ({}, None, "does not name its activations: pass one for each of its 2 Linear layers"),
        ({}, ["relu"], "activations has length 1, expected 2, one for each Linear layer"),
        ({}, ["relu", "swoosh"], "activation is 'swoosh', expected one of identity"),
        ({}, ["softmax", "relu"], "layer '0': softmax stands before the end"),
        ({"1.weight": torch.ones(4)}, ["relu"] * 2, "'1.weight' (4,) is not understood"),
        ({"conv.weight": torch.ones(4, 4, 3)}, ["relu"] * 2, "'conv.weight' (4, 4, 3) is not un"),
        ({"0.weight_g": torch.ones(4)}, ["relu"] * 2, "'0.weight_g' (4,) is not understood"),
        ({"loss.pos": torch.ones(())}, ["relu"] * 2, "'loss.pos' () is not understood"),
        ({"3.bias": torch.ones(4)}, ["relu"] * 2, "layer '3' has no weight, expected weight"),
        ({"1.running_mean": torch.ones(4)}, ["relu"] * 2, "layer '1' has no running_var"),
        ({"0.weight": torch.ones(4, 5, dtype=torch.int8)}, ["relu"] * 2, "dtype int8, expected fl"),
        ({"2.weight": torch.ones(3, 5)}, ["relu"] * 2, "layer '2' takes 5 features, expected 4"),
        ({"0.bias": torch.ones(3)}, ["relu"] * 2, "layer '0': the bias has shape (3,), expected"),
        ({"extra": 3}, ["relu"] * 2, "'extra' is of type int, expected a tensor"),
        ({7: torch.ones(2)}, ["relu"] * 2, "'7' is of type Tensor, expected a tensor"),
        ({"0._packed_params": (1, 2)}, ["relu"] * 2, "'0._packed_params' is of type tuple"),
    ],
)  # fmt: skip
def test_refused_state_dicts(change, activations, text):
    state = state_of(mlp(5, 4, 3)) | change
    with pytest.raises(ValueError, match=re.escape(text)):
        nncore.from_torch(state, activations)


def test_nothing_and_no_list():
    with pytest.raises(ValueError, match="there is no weight of a Linear layer"):
        nncore.from_torch({}, [])
    with pytest.raises(TypeError, match="activations is of type str, expected a list"):
        nncore.from_torch(state_of(mlp(5, 4)), "relu")


# ---- out


def network(**options):
    layers = [
        nncore.Normalization([1.0, -2.0, 0.1], [0.1, 1e3, 3.0]), nncore.Dense(3, 5, "elu", alpha=2),
        nncore.Dense(5, 4, bias=False), nncore.Dense(4, 3, "softmax"),
    ]  # fmt: skip
    return nncore.Network(layers, seed=3, classes=["a", "b", "c"], **options)


def test_the_names_are_those_of_a_sequential(dtype):
    net = network(dtype=dtype)
    state = net.to_state_dict()
    assert list(state) == list(net.to_torch().state_dict())
    assert list(state)[3:] == ["1.weight", "1.bias", "3.weight", "4.weight", "4.bias"]
    np.testing.assert_array_equal(state["1.weight"].numpy(), net.layers[1].weights.T)
    same_network(nncore.from_torch(state), net)
    assert nncore.from_torch(state).classes.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("ending", ["pt", "pth"])
@pytest.mark.parametrize("front", [[], [nncore.Rescaling(1 / 255, -0.5)]])
def test_files_round_trip(tmp_path, dtype, ending, front):
    layers = [*front, nncore.Dense(3, 5, "clip", alpha=0, beta=2), nncore.Dense(5, 1, "step")]
    for net in (network(dtype=dtype), nncore.Network(layers, seed=1, dtype=dtype)):
        net.save(tmp_path / f"net.{ending}")
        again = nncore.load(tmp_path / f"net.{ending}")
        same_network(again, net)
        x = np.random.default_rng(0).standard_normal((50, 3))
        assert again(x).tobytes() == net(x).tobytes()
        assert np.array_equal(again.classes, net.classes)
    with pytest.raises(ValueError, match=r"net\.pth?: the state_dict names its activations itself"):
        nncore.load(tmp_path / f"net.{ending}", ["relu", "relu"])


def test_pytorch_loads_what_nncore_wrote(tmp_path):
    net = network()
    net.save(tmp_path / "net.pt")
    module = net.to_torch()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    module.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True), strict=True)
    x = np.random.default_rng(0).standard_normal((50, 3)).astype("f4")
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.tensor(x)), net(x), rtol=1e-4, atol=1e-6)


def test_the_same_network_is_the_same_file(tmp_path):
    for name in ("a.pt", "b.pt"):
        network().save(tmp_path / name)
    members = [zipfile.ZipFile(tmp_path / name) for name in ("a.pt", "b.pt")]
    assert [m.CRC for m in members[0].infolist()] == [m.CRC for m in members[1].infolist()]


def test_a_description_that_does_not_fit():
    state = network().to_state_dict()
    for change, text in (
        ({"1.weight": torch.ones(4, 3)}, "'1.weight' has shape (4, 3), expected (5, 3)"),
        ({"9.weight": torch.ones(4, 3)}, "'9.weight' is not in its description"),
        ({"0.running_var": torch.zeros(3)}, "0.running_var holds numbers that are not above 0"),
    ):
        changed = state.copy()
        changed._metadata = state._metadata
        changed.update(change)
        with pytest.raises(ValueError, match=re.escape(text)):
            nncore.from_torch(changed)
    del state["4.bias"]
    with pytest.raises(ValueError, match=r"'4\.bias' is missing"):
        nncore.from_torch(state)


def test_a_callable_cannot_be_saved(path):
    net = nncore.Network([nncore.Dense(2, 2, np.tanh)], seed=0)
    with pytest.raises(ValueError, match="custom activation"):
        net.save(path)
    assert not path.exists()


def test_a_dict_of_arrays(dtype):
    net = nncore.Network([nncore.Dense(3, 5, "relu"), nncore.Dense(5, 2)], seed=0, dtype=dtype)
    arrays = net.to_dict()
    assert list(arrays) == ["W1", "b1", "W2", "b2"]
    arrays["W1"][0, 0] += 0  # writeable
    same_network(nncore.Network.from_dict(arrays, ["relu", "identity"]), net)
    bare = nncore.Network([nncore.Dense(3, 5, bias=False)], seed=0, dtype=dtype)
    assert list(bare.to_dict()) == ["W1"]
    mixed = nncore.Network(
        [nncore.Dense(3, 5, bias=False), nncore.Dense(5, 2)], seed=0, dtype=dtype
    )
    again = nncore.Network.from_dict(mixed.to_dict(), ["identity"] * 2)
    x = np.random.default_rng(0).standard_normal((9, 3))
    assert again(x).tobytes() == mixed(x).tobytes()
    with pytest.raises(ValueError, match=r"begins with Normalization\(3 features\), which a dict"):
        network().to_dict()


# ---- files of PyTorch's own


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pt"


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_both_formats_of_torch_save(path, options):
    module = mlp(5, 4, 3)
    torch.save(module.state_dict(), path, **options)
    assert formats.find_format(path).name == "torch"
    same_network(nncore.load(path, ["relu", "identity"]), nncore.from_torch(module))
    missing = r"model\.pt: a state_dict does not name its activations"
    with pytest.raises(ActivationsMissing, match=missing) as error:
        nncore.load(path)
    assert isinstance(error.value, ValueError)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_a_protocol_that_pytorch_does_not_read(path, options):
    torch.save(mlp(5, 4, 3).state_dict(), path, pickle_protocol=4, **options)
    assert formats.find_format(path).name == "torch"
    refused(path, "in another pickle protocol than PyTorch's own, 2", ["relu", "identity"])


def test_a_checkpoint_of_lightning(path):
    module = made("trained")
    state = OrderedDict(module.state_dict())
    torch.save({"state_dict": state, "epoch": 1, "loops": {}, "hyper_parameters": {"lr": 1}}, path)
    same_network(nncore.load(path, ["relu", "identity"]), nncore.from_torch(module))


class Evil:
    def __reduce__(self):
        return print, ("this must not be printed",)


def saved(path, thing, **options):
    torch.save(thing, path, **options)
    return path


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (
            lambda: mlp(3, 2),
            "asks for torch.nn.modules.container.Sequential, expected a state_dict",
        ),
        (lambda: {"0.weight": Evil()}, "print, expected a state_dict: only tensors are read"),
        (lambda: torch.ones(3), "holds a Tensor, expected a state_dict"),
        (lambda: [torch.ones(3)], "holds a list, expected a state_dict"),
        (lambda: {"a": 1}, "'a' is of type int, expected a tensor"),
        (lambda: {"weight": torch.ones(1, 1).expand(40_000, 40_000)}, "bytes of tensors, expected"),
    ],
)
def test_other_things_in_files(path, capfd, thing, text):
    refused(saved(path, thing()), text, ["relu"])
    refused(saved(path, thing(), _use_new_zipfile_serialization=False), text, ["relu"])
    assert capfd.readouterr().out == ""


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_torchscript(path):
    torch.jit.script(mlp(3, 2)).save(str(path))
    refused(path, "is a TorchScript archive, expected a state_dict: save model.state_dict()")


def test_damaged_files(path):
    module = mlp(5, 4, 3)
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        whole = saved(path, module.state_dict(), **options).read_bytes()
        for length in (0, 1, 30, 100, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            refused(path, f"{path}: ", ["relu", "identity"])


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes(path, seed):
    rng = np.random.default_rng(seed)
    options = {"_use_new_zipfile_serialization": bool(seed % 2)}
    data = bytearray(saved(path, mlp(5, 4, 3).state_dict(), **options).read_bytes())
    for place in rng.integers(0, len(data), 3):
        data[place] = rng.integers(0, 256)
    path.write_bytes(data)
    message = f"{path}: "
    try:
        nncore.load(path, ["relu", "identity"])
    except (ValueError, OSError) as error:
        message = str(error)
    assert message.startswith(f"{path}: ")


def test_a_zip_bomb(path):
    saved(path, mlp(5, 4).state_dict())
    members = members_of(path)
    name = next(name for name in members if name.endswith("data/0"))
    rebuild(path, members | {name: bytes(10_000_000)}, zipfile.ZIP_DEFLATED)
    refused(path, "is compressed, expected stored members", ["relu"])


def test_an_old_pickle_that_claims_a_huge_storage(path):
    saved(path, {"weight": torch.ones(1, 1)}, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    at = data.index(b"K\x01", data.index(b"cpu"))  # how many numbers, after the device
    path.write_bytes(data[:at] + b"\x8a\x06\0\0\0\0\0\x10" + data[at + 2 :])
    refused(path, "is damaged (RuntimeError: ", ["relu"])


def test_plain_pickles_are_still_read_without_pytorch(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    path.write_bytes(pickle.dumps({"W1": np.eye(2), "b1": np.zeros(2)}, 2))
    assert nncore.load(path, ["relu"]).in_features == 2


def test_without_pytorch(path, monkeypatch):
    saved(path, mlp(5, 4).state_dict())
    monkeypatch.setitem(sys.modules, "torch", None)
    net = nncore.Network([nncore.Dense(2, 2)], seed=0)
    for use in (
        lambda: nncore.load(path, ["relu"]),
        lambda: nncore.from_torch({}),
        net.to_torch,
        net.to_state_dict,
        lambda: net.save(path.with_name("new.pt")),
    ):
        with pytest.raises(ImportError, match=r"pip install torch$"):
            use()
    assert not path.with_name("new.pt").exists()


def test_zip_files_are_told_apart(tmp_path):
    path = tmp_path / "file"
    for name, found in (
        ("model/data.pkl", "torch"),
        ("data.pkl", "torch"),
        ("header.npy", "npz"),
        ("W1.npy", "npz"),
        ("word/document.xml", "npz"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"")
        assert formats.find_format(path).name == found
    path.write_bytes(b"PK\x03\x04 and nothing else")
    assert formats.find_format(path).name == "npz"
    buffer = io.BytesIO()
    np.savez(buffer, a=np.eye(2))
    path.write_bytes(buffer.getvalue())
    refused(path, "holds arrays but no nncore header")


def test_an_order_that_only_the_keys_tell_is_said():
    layers = [("out", torch.nn.Linear(8, 8)), ("inp", torch.nn.Linear(8, 8))]
    state = torch.nn.ModuleDict(dict(layers)).state_dict()
    with pytest.warns(UserWarning, match="in the order of their keys, out, inp, which neither"):
        nncore.from_torch(state, ["relu", "identity"])
    layers = [("hidden", torch.nn.Linear(8, 4)), ("out", torch.nn.Linear(4, 2))]
    nncore.from_torch(torch.nn.ModuleDict(dict(layers)).state_dict(), ["relu", "identity"])
