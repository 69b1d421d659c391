"""What `nncore train` can be asked for, and what that makes: network, optimiser, augmentation.

Settings are a plain dict, as it stands in a checkpoint; they are checked wherever they come from.
"""

from __future__ import annotations

import argparse
import itertools
import math
from typing import TYPE_CHECKING, Any

from nncore.cli._common import CommandError, positive_integer

if TYPE_CHECKING:
    from nncore import Augment, Network
    from nncore.optimizers import Optimizer

DEFAULTS: dict[str, Any] = {
    "layers": "784,50,100,10",
    "activation": "relu",
    "optimizer": "adam",
    "schedule": "one-cycle",
    "lr": None,  # the optimiser's own, of `_RATES`
    "epochs": 5,
    "batch_size": 100,
    "seed": 0,
    "augment": False,
    "limit": None,
    "out": "digits.npz",
}
SCHEDULES = {"constant": "Constant", "one-cycle": "OneCycle", "cosine": "Cosine"}
OPTIMIZERS = ("sgd", "adagrad", "rmsprop", "adam", "adamw")
PIXELS, CLASSES = 784, 10

# The largest rates of a one-cycle or cosine schedule that serve 784-50-100-10 on MNIST well.
_RATES = {"sgd": 0.5, "adagrad": 0.05, "rmsprop": 0.003, "adam": 0.01, "adamw": 0.01}
_CONSTANT_RATES = {"sgd": 0.1, "adagrad": 0.02, "rmsprop": 0.001, "adam": 0.001, "adamw": 0.001}


def add_setting_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that a checkpoint remembers, all but --out; none has a default yet."""
    add = parser.add_argument
    add(
        "--epochs",
        metavar="N",
        type=positive_integer,
        help=f"how often to go through the data (default: {DEFAULTS['epochs']})",
    )
    add(
        "--batch-size",
        metavar="N",
        type=positive_integer,
        help=f"samples of a step (default: {DEFAULTS['batch_size']})",
    )
    add(
        "--layers",
        metavar="SIZES",
        help=f"sizes, from {PIXELS} pixels to {CLASSES} digits (default: {DEFAULTS['layers']})",
    )
    add(
        "--activation",
        metavar="NAME",
        help=f"of the hidden layers (default: {DEFAULTS['activation']}); the last has softmax",
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
    add("--limit", metavar="N", type=positive_integer, help="only the first N images")  # fmt: skip


def settings_of(options: argparse.Namespace, resumed: dict[str, Any] | None) -> dict[str, Any]:
    """The settings of the command line, completed by the defaults or by those of a checkpoint."""
    given = {key: getattr(options, key) for key in DEFAULTS if getattr(options, key) is not None}
    if resumed is None:
        settings = {**DEFAULTS, **given}
        if settings["lr"] is None:
            rates = _CONSTANT_RATES if settings["schedule"] == "constant" else _RATES
            settings["lr"] = rates[settings["optimizer"]]
        check_settings(settings)
        return settings
    try:
        check_settings(resumed)
    except CommandError as error:
        raise CommandError(f"{options.resume}: {error}") from None
    for key, value in given.items():
        if key != "out" and value != resumed[key]:
            option = f"--{key.replace('_', '-')}"
            made = f"with {resumed[key]}, and can only go on with that"
            if resumed[key] is None or resumed[key] is False:
                made = f"without {option}, and can only go on without it"
            raise CommandError(
                f"{option}{'' if value is True else f' {value}'}: the checkpoint {options.resume} "
                f"was made {made}"
            )
    return {**resumed, **given}


def check_settings(settings: dict[str, Any]) -> None:
    """Refuse what cannot be trained; what comes from a checkpoint may be anything."""
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
    if not isinstance(rate, (int, float)) or not 0 <= rate < math.inf:
        raise CommandError(f"lr is {rate!r}, expected a finite number of at least 0")
    if type(settings["augment"]) is not bool or not isinstance(settings["out"], str):
        raise CommandError("augment or out is of the wrong type")
    for key, names in (("optimizer", OPTIMIZERS), ("schedule", tuple(SCHEDULES))):
        if settings[key] not in names:
            raise CommandError(f"{key} is {settings[key]!r}, expected one of {', '.join(names)}")
    _check_activation(settings["activation"])
    sizes_of(settings["layers"])


def _check_activation(name: object) -> None:
    from nncore import activations

    names = [each for each in activations.REGISTRY if not activations.last_layer_only(each)]
    if name not in names:
        raise CommandError(
            f"--activation {name or repr(name)}: unknown for a hidden layer, expected one of "
            f"{', '.join(names)}"
        )


def sizes_of(text: object) -> list[int]:
    """ "784,50,10" as a list of sizes, checked."""
    expected = f"expected sizes such as {DEFAULTS['layers']}"
    shown = text if str(text).strip() else repr(text)
    try:
        sizes = [int(part) for part in str(text).split(",")]
    except ValueError:
        raise CommandError(f"--layers {shown}: {expected}") from None
    if len(sizes) < 2 or min(sizes) < 1:
        raise CommandError(f"--layers {shown}: {expected}")
    if (sizes[0], sizes[-1]) != (PIXELS, CLASSES):
        raise CommandError(
            f"--layers {shown}: expected {PIXELS} at the beginning (28x28 pixels) and {CLASSES} at "
            "the end (digits)"
        )
    return sizes


def make_network(settings: dict[str, Any]) -> Network:
    """The network with its first weights."""
    import nncore

    pairs = list(itertools.pairwise(sizes_of(settings["layers"])))
    layers: list[Any] = [nncore.Rescaling(1 / 255)]
    layers += [nncore.Dense(k, m, settings["activation"]) for k, m in pairs[:-1]]
    layers.append(nncore.Dense(*pairs[-1], "softmax"))
    return nncore.Network(layers, seed=settings["seed"])


def make_optimizer(settings: dict[str, Any]) -> Optimizer:
    """The optimiser, a new one."""
    import nncore
    from nncore.optimizers import OPTIMIZERS as CLASSES_BY_NAME

    schedule = getattr(nncore, SCHEDULES[settings["schedule"]])(settings["lr"])
    momentum = {"momentum": 0.9} if settings["optimizer"] == "sgd" else {}
    return CLASSES_BY_NAME[settings["optimizer"]](schedule, **momentum)


def make_augment(settings: dict[str, Any]) -> Augment | None:
    """Augmentation with its defaults, or none."""
    import nncore

    return nncore.Augment() if settings["augment"] else None


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a finite number of at least 0, got {text!r}")
    return value


def _seed(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return value
