"""What `--layers` and `--activation` mean, in every command that has them."""

from __future__ import annotations

from nncore.cli._common import CommandError

LAYERS = "784,50,100,10"  # the default
PIXELS, CLASSES = 784, 10  # of a digit


def sizes_of(text: object) -> list[int]:
    """Return the sizes in `text`, such as "784,50,10": two or more, each at least 1."""
    try:
        sizes = [int(part) for part in str(text).split(",")]
    except ValueError:
        sizes = []
    if len(sizes) < 2 or min(sizes) < 1:
        shown = text if str(text).strip() else repr(text)
        raise CommandError(f"--layers is {shown}, expected sizes such as {LAYERS}")
    return sizes


def check_activation(name: object) -> None:
    """Refuse what cannot be the activation of a hidden layer."""
    from nncore import activations

    names = [each for each in activations.REGISTRY if not activations.last_layer_only(each)]
    if name not in names:
        raise CommandError(
            f"--activation is {name or repr(name)}, expected one for hidden layers: "
            f"{', '.join(names)}"
        )
