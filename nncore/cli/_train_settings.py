"""What `nncore train` can be asked for, and what that makes: network, optimizer, augmentation.

What was asked for is a plain dict, which a checkpoint keeps; it is checked wherever it comes from.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from typing import TYPE_CHECKING, Any

from nncore import _table
from nncore.cli._common import CommandError, positive_integer
from nncore.cli._layers import CLASSES, LAYERS, PIXELS, check_activation, sizes_of
from nncore.cli._own_data import LOSSES

if TYPE_CHECKING:
    from nncore import Augment, Network
    from nncore.cli._own_data import OwnData
    from nncore.optimizers import Optimizer

DEFAULTS: dict[str, Any] = {
    "layers": LAYERS,
    "activation": "relu",
    "optimizer": "adam",
    "schedule": "one-cycle",
    "lr": None,  # see `_default_rate`
    "epochs": 5,
    "batch_size": 100,
    "seed": 0,
    "augment": False,
    "limit": None,
    "out": "digits.npz",
    "clip_norm": None,
    "task": "digits",  # or "classes", "values": data of one's own
    "label": None,
    "loss": None,
    "normalize": True,
}
OWN_OUT = "network.npz"
_OWN_HIDDEN, _OWN_BATCH, _OWN_STEPS, _OWN_EPOCHS = "64,32", 32, 3000, (5, 200)
SCHEDULES = {"constant": "Constant", "one-cycle": "OneCycle", "cosine": "Cosine"}
OPTIMIZERS = tuple(name for name, *_ in _table.optimizer_rows())

# The rates that serve 784-50-100-10 on MNIST well, of a one-cycle or cosine schedule the largest;
# an optimizer that is not here has the default rate of its class.
_RATES = {"sgd": 0.5, "adagrad": 0.05, "rmsprop": 0.003, "adam": 0.01, "adamw": 0.01}
_CONSTANT_RATES = {"sgd": 0.1, "adagrad": 0.02, "rmsprop": 0.001, "adam": 0.001, "adamw": 0.001}


def add_setting_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that a checkpoint remembers, all but --out; none has a default yet."""
    add = parser.add_argument
    add(
        "--epochs",
        metavar="N",
        type=positive_integer,
        help=f"how often to go through the data (default: {DEFAULTS['epochs']}; with data of your "
        f"own, as many as make about {_OWN_STEPS:,} batches)",
    )
    add(
        "--batch-size",
        metavar="N",
        type=positive_integer,
        help=f"samples of a batch (default: {DEFAULTS['batch_size']}; with data of your own "
        f"{_OWN_BATCH})",
    )
    add(
        "--layers",
        metavar="SIZES",
        help=f"sizes, from {PIXELS} pixels to {CLASSES} digits (default: {DEFAULTS['layers']}), or "
        f"from features to classes (default between them: {_OWN_HIDDEN})",
    )
    add(
        "--activation",
        metavar="NAME",
        help=f"of the hidden layers (default: {DEFAULTS['activation']}); the last has softmax, or "
        "identity for values",
    )
    add("--optimizer", choices=OPTIMIZERS, help=f"(default: {DEFAULTS['optimizer']})")
    add(
        "--lr",
        metavar="RATE",
        type=_rate,
        help="the learning rate, of a schedule the largest (default: 0.01 for adam)",
    )
    add("--schedule", choices=tuple(SCHEDULES), help=f"(default: {DEFAULTS['schedule']})")
    add(
        "--seed",
        metavar="N",
        type=_seed,
        help=f"of the first weights and the order of samples (default: {DEFAULTS['seed']})",
    )
    add(
        "--augment",
        action="store_true",
        default=None,
        help="learn from digits moved, turned and bent a little, anew in each epoch",
    )
    add("--limit", metavar="N", type=positive_integer, help="only the first N images or samples")
    add(
        "--clip-norm",
        metavar="NORM",
        type=_norm,
        help="scale gradients down to this norm, all of them together (default: as they are)",
    )
    add(
        "--label",
        metavar="COLUMN",
        help="of a table: the column to learn, by its heading or number (default: the last)",
    )
    add(
        "--loss",
        choices=LOSSES,
        help="of your own data; cross_entropy says that labels are classes, the others that they "
        "are values (default: text and whole numbers are classes, other numbers values with mse)",
    )
    add(
        "--no-normalize",
        dest="normalize",
        action="store_false",
        default=None,
        help="of your own data: take the features as they are",
    )


def settings_of(
    options: argparse.Namespace, resumed: dict[str, Any] | None, own: OwnData | None = None
) -> dict[str, Any]:
    """Return the settings of the command line, completed by defaults or those of a checkpoint."""
    given = {
        key: getattr(options, key)
        for key in DEFAULTS
        if key != "task" and getattr(options, key) is not None
    }
    if resumed is None:
        settings = {**DEFAULTS, **given}
        if own is not None:
            settings |= {**_own_defaults(own), **given}
        for key in ("label", "loss", "normalize"):
            if own is None and key in given:
                name = "no-normalize" if key == "normalize" else key
                raise CommandError(f"--{name} is for data of your own: --data FILE")
        if settings["lr"] is None:
            settings["lr"] = _default_rate(settings["optimizer"], settings["schedule"])
        check_settings(settings)
        return settings
    for key, value in given.items():
        if key != "out" and value != resumed[key]:
            option = "--no-normalize" if key == "normalize" else f"--{key.replace('_', '-')}"
            made = f"with {resumed[key]}, and can only go on with that"
            if resumed[key] is None or resumed[key] is False or key == "normalize":
                made = f"without {option}, and can only go on without it"
            raise CommandError(
                f"{option}{'' if isinstance(value, bool) else f' {value}'}: the checkpoint "
                f"{options.resume} was made {made}"
            )
    return {**resumed, **given}


def _own_defaults(own: OwnData) -> dict[str, Any]:
    """Return the defaults that depend on the data."""
    batches = -(-len(own.x) // _OWN_BATCH)
    epochs = min(max(-(-_OWN_STEPS // batches), _OWN_EPOCHS[0]), _OWN_EPOCHS[1])
    return {
        "task": own.task, "layers": f"{own.x.shape[1]},{_OWN_HIDDEN},{own.outputs}",
        "batch_size": _OWN_BATCH, "epochs": epochs, "out": OWN_OUT,
        "loss": "cross_entropy" if own.classes is not None else "mse",
    }  # fmt: skip


def check_settings(settings: dict[str, Any]) -> None:
    """Refuse what cannot be trained: a checkpoint may hold anything."""
    if set(settings) != set(DEFAULTS):
        odd = min(set(settings) ^ set(DEFAULTS))
        raise CommandError(f"the settings are not those of this nncore: {odd!r}")
    for key in ("epochs", "batch_size"):
        if type(settings[key]) is not int or settings[key] < 1:
            raise CommandError(f"{key} is {settings[key]!r}, expected a whole number of at least 1")
    if type(settings["seed"]) is not int or settings["seed"] < 0:
        raise CommandError(f"seed is {settings['seed']!r}, expected a whole number of at least 0")
    limit = settings["limit"]
    if limit is not None and (type(limit) is not int or limit < 1):
        raise CommandError(f"limit is {limit!r}, expected a whole number of at least 1")
    rate = settings["lr"]
    if type(rate) not in (int, float) or not 0 <= rate <= sys.float_info.max:
        raise CommandError(f"lr is {rate!r}, expected a finite number of at least 0")
    norm = settings["clip_norm"]
    if norm is not None and (type(norm) not in (int, float) or not 0 < norm <= sys.float_info.max):
        raise CommandError(f"clip_norm is {norm!r}, expected a finite number above 0")
    for key, kind, expected in (
        ("augment", bool, "true or false"), ("out", str, "a file name"),
        ("normalize", bool, "true or false"),
    ):  # fmt: skip
        if type(settings[key]) is not kind:
            raise CommandError(f"{key} is {settings[key]!r}, expected {expected}")
    if settings["label"] is not None and type(settings["label"]) is not str:
        raise CommandError(f"label is {settings['label']!r}, expected text")
    losses = {"digits": (None,), "classes": LOSSES[:1], "values": LOSSES[1:]}
    for key, names in (
        ("optimizer", OPTIMIZERS), ("schedule", tuple(SCHEDULES)), ("task", tuple(losses)),
        ("loss", losses.get(str(settings["task"]), ())),
    ):  # fmt: skip
        if settings[key] not in names:
            raise CommandError(
                f"{key} is {settings[key]!r}, expected one of {', '.join(map(str, names))}"
            )
    check_activation(settings["activation"])
    if settings["task"] == "digits":
        check_sizes(settings["layers"], PIXELS, CLASSES, "28x28 pixels", "digits")
    sizes_of(settings["layers"])


def check_sizes(text: object, first: int, last: int, inputs: str, outputs: str) -> None:
    """Refuse sizes that do not fit the data."""
    sizes = sizes_of(text)
    if (sizes[0], sizes[-1]) != (first, last):
        raise CommandError(
            f"--layers is {text}, expected {first} at the beginning ({inputs}) and {last} "
            f"at the end ({outputs})"
        )


def make_network(settings: dict[str, Any], own: OwnData | None = None) -> Network:
    """Return the network with its first weights."""
    import nncore

    pairs = list(itertools.pairwise(sizes_of(settings["layers"])))
    layers: list[Any] = [nncore.Rescaling(1 / 255)]
    if own is not None:
        layers = own.first_layers(settings["normalize"])
    layers += [nncore.Dense(k, m, settings["activation"]) for k, m in pairs[:-1]]
    layers.append(
        nncore.Dense(*pairs[-1], "identity" if settings["task"] == "values" else "softmax")
    )
    return nncore.Network(
        layers, seed=settings["seed"], classes=None if own is None else own.classes
    )


def make_optimizer(settings: dict[str, Any]) -> Optimizer:
    """Return a new optimizer."""
    import nncore
    from nncore.optimizers import OPTIMIZERS as CLASSES_BY_NAME

    schedule = getattr(nncore, SCHEDULES[settings["schedule"]])(settings["lr"])
    momentum = {"momentum": 0.9} if settings["optimizer"] == "sgd" else {}
    return CLASSES_BY_NAME[settings["optimizer"]](
        schedule, clip_norm=settings["clip_norm"], **momentum
    )


def make_augment(settings: dict[str, Any], own: OwnData | None = None) -> Augment | None:
    """Return augmentation with its defaults, or None."""
    import nncore

    if not settings["augment"]:
        return None
    if own is None:
        return nncore.Augment()
    shape = own.shape[1:] if own.shape[:1] == (1,) else own.shape
    if len(shape) != 2:
        raise CommandError(f"--augment needs images: samples of (h, w), these have {own.shape}")
    return nncore.Augment(shape=shape)


def _default_rate(optimizer: str, schedule: str) -> float:
    from nncore.optimizers import OPTIMIZERS as CLASSES_BY_NAME

    rates = _CONSTANT_RATES if schedule == "constant" else _RATES
    if optimizer in rates:
        return rates[optimizer]
    rate: Any = CLASSES_BY_NAME[optimizer]().learning_rate  # type: ignore[call-arg]
    return float(rate)


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a finite number of at least 0")
    return value


def _norm(text: str) -> float:
    value = _rate(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a finite number above 0")
    return value


def _seed(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a whole number of at least 0")
    return value
