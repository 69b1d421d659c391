"""Weights are assigned completely or not at all, whatever goes wrong and whoever runs meanwhile."""

from __future__ import annotations

import contextlib
import gc
import pickle
import sys
import threading
import weakref

import numpy as np
import pytest
from reference import assert_same_bits

import nncore
from nncore import Dense, Network, _table
from nncore._plan import Parameters, Slot, publish, snapshot
from nncore.fit.trainer import set_arrays
from nncore.layers import dense as dense_module

X = np.ones((3, 4))


def make():
    return Network([Dense(4, 3, "relu"), Dense(3, 2)], seed=0)


def arrays_of(net):
    return [(layer.weights, layer.bias) for layer in net.layers]


def assert_agrees(net, path):
    """Calls, weights and a saved file are of the same weights."""
    net.save(path)
    again = nncore.load(path)
    for ours, theirs in zip(arrays_of(net), arrays_of(again), strict=True):
        assert_same_bits(ours[0], theirs[0])
        assert_same_bits(ours[1], theirs[1])
    fresh = Network.from_arrays(*zip(*arrays_of(net), strict=True), ["relu", "identity"])
    assert_same_bits(net(X), fresh(X))
    assert_same_bits(net(X), again(X))
    assert_same_bits(net.trace(X)[-1].activation, net(X))


def set_weights(net):
    net.layers[0].weights = np.full((4, 3), 2.0)


def set_bias(net):
    net.layers[1].bias = [5.0, 6.0]


def set_both(net):
    net.layers[0].set_weights(np.full((4, 3), 2.0), [1.0, 2.0, 3.0])


def set_all(net):
    set_arrays(net, [(np.full((4, 3), 2.0), np.ones(3)), (np.full((3, 2), 3.0), np.ones(2))])


ASSIGNMENTS = [set_weights, set_bias, set_both, set_all]


@pytest.mark.parametrize("assign", ASSIGNMENTS)
def test_without_memory_for_the_panels_nothing_changes(assign, monkeypatch, tmp_path):
    net = make()
    before, y = arrays_of(net), net(X)
    packed = []

    def pack(w, b, narrow):  # in set_all the first layer gets its panels
        packed.append(w)
        if len(packed) == (2 if assign is set_all else 1):
            raise MemoryError
        return _table.pack(w, b, narrow)

    class Table:
        Panels = _table.Panels

    Table.pack = staticmethod(pack)
    monkeypatch.setattr(dense_module, "_table", Table)
    with pytest.raises(MemoryError):
        assign(net)
    monkeypatch.undo()
    assert all(
        a is b for ours, theirs in zip(arrays_of(net), before, strict=True)
        for a, b in zip(ours, theirs, strict=True)
    )  # fmt: skip
    assert_same_bits(net(X), y)
    assert_agrees(net, tmp_path / "net.npz")


@contextlib.contextmanager
def interrupt_at(count):
    """Raise KeyboardInterrupt at the line `count` that Python reaches in nncore; gives a list that
    is filled when it was raised."""
    reached, raised = 0, []

    def trace(frame, event, _):
        nonlocal reached
        if "nncore" not in frame.f_code.co_filename or "tests" in frame.f_code.co_filename:
            return trace
        if event == "line":
            reached += 1
            if reached == count:
                raised.append(frame.f_lineno)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield raised
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("assign", ASSIGNMENTS)
def test_an_interrupt_at_any_line_of_an_assignment(assign, tmp_path):
    """Before or after, never between."""
    wanted = make()
    assign(wanted)
    first, last = make()(X), wanted(X)
    assert (first != last).any()
    old = new = 0
    for count in range(1, 1000):
        net = make()
        with contextlib.suppress(KeyboardInterrupt), interrupt_at(count) as raised:
            assign(net)
        assert_agrees(net, tmp_path / "net.npz")
        y = net(X)
        old, new = old + (y == first).all(), new + (y == last).all()
        assert old + new == count
        if not raised:
            break
    else:
        pytest.fail("the assignment has no end")
    assert old > 5


def test_an_interrupt_at_any_line_of_making_a_network():
    for count in range(1, 2000):
        layers = [Dense(4, 3, "relu"), Dense(3, 2)]
        with contextlib.suppress(KeyboardInterrupt), interrupt_at(count) as raised:
            Network(layers, seed=0)
        filled = [layer.weights is not None for layer in layers]
        assert filled in ([False, False], [True, True])
        if not raised:
            assert filled == [True, True]
            break
        # And nothing has been decided for the layers if they were not filled.
        assert_same_bits(Network(layers, seed=0, dtype="float32")(X), make()(X))
    else:
        pytest.fail("making a network has no end")


def run_beside(work, check, rounds=300):
    """`work(i)` again and again in a thread while `check` runs."""
    errors = []
    stop = threading.Event()

    def loop():
        i = 0
        try:
            while not stop.is_set():
                work(i)
                i += 1
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=loop)
    thread.start()
    try:
        for _ in range(rounds):
            check()
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]


def test_calls_and_saves_beside_assignments_see_one_state(tmp_path):
    """Both layers are assigned the same number at once; every reader finds one number."""
    net = Network([Dense(1, 2), Dense(2, 1)], seed=0, dtype="float64")

    def assign(i):
        value = float(i % 1000 + 1)
        set_arrays(net, [(np.full((1, 2), value), None), (np.full((2, 1), value), None)])

    assign(0)
    path = tmp_path / "net.npz"

    def check():
        root = np.sqrt(net([1.0])[0] / 2)
        assert root == round(root)
        net.save(path)
        first, second = (layer.weights.ravel() for layer in nncore.load(path).layers)
        assert first[0] == first[1] == second[0] == second[1]
        records = net.trace([1.0])
        assert records[1].activation[0] == 2 * records[0].activation[0] ** 2

    run_beside(assign, check, rounds=100)


def test_a_network_is_pickled_while_its_weights_are_assigned(monkeypatch):
    net = Network([Dense(2, 2), Dense(2, 2, bias=False)], seed=0)
    twin = Network(net.layers[:1])
    set_arrays(net, [(np.full((2, 2), 1.0), None)] * 2)
    of_one_layer = Dense.__getstate__

    def assigned_in_between(layer):
        state = of_one_layer(layer)
        set_arrays(net, [(np.full((2, 2), 2.0), None)] * 2)
        return state

    monkeypatch.setattr(Dense, "__getstate__", assigned_in_between)
    made, again = pickle.loads(pickle.dumps((net, twin)))
    assert made([1, 1]).tolist() == [4, 4]  # with 1 in one layer and 2 in the other it would be 8
    assert again.layers[0] is made.layers[0]
    assert not made.layers[1].weights.flags.writeable
    assert net([1, 1]).tolist() == [16, 16]


def test_a_shallow_copy_leaves_the_weights_of_its_layers_alone():
    net = Network([Dense(2, 2)], seed=0)
    rebuild, arguments = net.__reduce__()
    net.layers[0].weights = np.ones((2, 2))  # as another thread may, just now
    assert rebuild(*arguments)([1, 1]).tolist() == net([1, 1]).tolist() == [2, 2]


def test_weights_and_bias_assigned_by_two_threads_are_both_kept():
    net = Network([Dense(1, 1)], seed=0)
    layer = net.layers[0]
    written = [0]

    def assign_bias(i):
        layer.bias = [float(i)]
        written[0] = i
        # Nobody else assigns the bias: it has to be there.
        assert layer.bias[0] == i

    value = 0.0

    def check():
        nonlocal value
        value += 1
        layer.weights = [[value]]
        assert layer.weights[0, 0] == value

    run_beside(assign_bias, check, rounds=2000)


def test_a_network_is_built_at_any_line_of_an_assignment():
    """By another thread, as it were: a layer that kept a weak set of its networks raised
    "Set changed size during iteration" after the weights were stored."""
    for count in range(1, 1000):
        layer = Dense(4, 3)
        nets = [Network([layer], seed=0) for _ in range(2)]
        reached = 0

        def trace(frame, event, _, count=count, layer=layer, nets=nets):
            nonlocal reached
            reached += event == "line"
            if reached == count and len(nets) == 2:
                nets.append(Network([layer, Dense(3, 1)], seed=0))
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            layer.weights = np.full((4, 3), 2.0)
        finally:
            sys.settrace(before)
        assert all((net.trace(X)[0].activation == 8).all() for net in nets)
        if len(nets) == 2:
            break
    assert count > 10


def test_networks_are_built_while_another_thread_assigns():
    layer = Dense(4, 3)
    net = Network([layer], seed=0)
    made = []

    def build(_):
        made.append(Network([layer, Dense(3, 1)], seed=0))
        del made[:-5]

    def check():
        layer.weights = np.full((4, 3), 2.0)
        assert (net([1, 1, 1, 1]) == 8).all()

    run_beside(build, check, rounds=200)
    assert_same_bits(made[-1].trace(X)[0].activation, net(X))


def test_two_networks_share_a_layer():
    shared, other = Dense(4, 3), Dense(3, 2)
    one, two = Network([shared], seed=0), Network([shared, other], seed=1)
    for value in (1.0, 2.0):
        shared.weights = np.full((4, 3), value)
        assert (one(X) == 4 * value).all()
        assert_same_bits(two.trace(X)[0].activation, one(X))
        assert_same_bits(two(X), two.trace(X)[1].activation)
        assert_same_bits(two.logits(X), two(X))
    set_arrays(two, [(np.full((4, 3), 3.0), None), (np.full((3, 2), 3.0), None)])
    assert (one(X) == 12).all()
    assert (two(X) == 108).all()


def test_a_callable_sees_new_weights():
    net = Network([Dense(4, 3, np.tanh), Dense(3, 2)], seed=0)
    for value in (1.0, 2.0):
        set_arrays(net, [(np.full((4, 3), value), None), (np.ones((3, 2)), None)])
        np.testing.assert_array_equal(net(X), np.full((3, 2), 3 * np.float32(np.tanh(4 * value))))


def test_a_layer_that_two_dtypes_race_for_is_refused(monkeypatch):
    """It joins a float64 network while a float32 one is being made of it."""
    layer, fill = Dense(2, 2), Dense.fill

    def fill_late(self, record, dtype, seed):
        if dtype == np.float32 and record.dtype is None:
            Network([layer], seed=0, dtype="float64")
        return fill(self, record, dtype, seed)

    monkeypatch.setattr(Dense, "fill", fill_late)
    with pytest.raises(ValueError, match="a layer is in a float64 network, expected a float32 one"):
        Network([layer], seed=0, dtype="float32")


def test_old_weights_are_freed():
    net = make()
    old = weakref.ref(net.layers[0].weights)
    set_all(net)
    net(X)
    gc.collect()
    assert old() is None


class TestSlots:
    def records(self, count):
        return [Parameters(np.zeros(1)) for _ in range(count)]

    def test_published_all_or_none(self):
        old, new = self.records(3), self.records(3)
        slots = [Slot(record) for record in old]
        assert snapshot(slots) == old
        assert not publish(slots, new, [old[0], old[1], new[2]])
        assert snapshot(slots) == old
        assert publish(slots, new, old)
        assert snapshot(slots) == new
        for bad in ([None, *new[1:]], [*new[:2], "record"], new[:2]):
            with pytest.raises((TypeError, ValueError)):
                publish(slots, bad)
            assert snapshot(slots) == new

    def test_code_that_an_old_record_runs_when_it_goes_sees_the_new_ones(self):
        class Noticed(np.ndarray):
            pass

        slots = [Slot(Parameters(np.zeros(1).view(Noticed))) for _ in range(3)]
        new, seen = self.records(3), []
        watch = [
            weakref.ref(slot.current.weights, lambda _: seen.append(snapshot(slots)))
            for slot in slots
        ]
        publish(slots, new)
        assert len(watch) == len(seen) == 3
        assert all(found == new for found in seen)

    def test_a_record_cannot_be_changed(self):
        record = Parameters(np.zeros(1))
        with pytest.raises(AttributeError):
            record.weights = np.ones(1)


def test_pickles_of_older_versions_are_read():
    """A Dense was in nncore/layers.py and kept its weights among its attributes."""
    layer = Dense.__new__(Dense)
    state = {
        "_in_features": 2, "_out_features": 1, "_activation": "relu", "_use_bias": True,
        "_alpha": None, "init": Dense(2, 1).init, "_dtype": np.dtype("float32"),
        "_weights": np.array([[1], [2]], "f4"), "_bias": np.array([3], "f4"),
    }  # fmt: skip
    layer.__setstate__(state)
    assert not layer.weights.flags.writeable
    assert Network([layer])([1, 1]) == [6]
    rescaling = nncore.Rescaling.__new__(nncore.Rescaling)
    rescaling.__dict__.update({"_scale": 0.5})
    assert rescaling.offset == 0
    assert pickle.loads(b"cnncore.layers\nDense\n.") is Dense


def test_a_parameter_that_an_older_pickle_lacks_is_the_usual_one():
    """elu had no alpha once: its pickles say None, which means 1 and not 0."""
    layer = Dense(1, 1, "elu")
    layer.weights = [[1.0]]
    state = layer.__getstate__() | {"_alpha": None}
    del state["_beta"]
    older = Dense.__new__(Dense)
    older.__setstate__(state)
    assert (older.alpha, older.beta) == (1, None)
    assert repr(older) == repr(layer)
    assert Network([older])([-1.0]) == Network([layer])([-1.0]) < -0.6
