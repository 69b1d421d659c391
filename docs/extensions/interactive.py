"""Networks that compute on the page: what `<!-- interactive: NAME -->` in Markdown becomes.

A code host shows nothing for such a comment. On the site, a frame with the page that
`Network.to_html` writes stands in its place. NETWORKS has the names. Only those that a page asks
for are made.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from docutils import nodes
from languages import language_of
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.osutil import relative_uri

import nncore

FOLDER = "interactive"
MARKER = re.compile(r"\s*<!--\s*interactive:\s*(\S*)\s*-->\s*")
EMBEDDED = (Path(__file__).parent / "embedded.js").read_text(encoding="utf-8")
ALONE = {"en": "Open this network on a page of its own", "ko": "이 신경망만 따로 열기"}


class Interactive(NamedTuple):
    """A network to be tried on a page, and the input that it begins with."""

    title: dict[str, str]  # by language; it names the frame for those who cannot see it
    make: Callable[[], tuple[nncore.Network, Any]]


def _network(weights: Any, biases: Any, activations: list[str]) -> nncore.Network:
    return nncore.Network.from_arrays(
        [np.array(w, float) for w in weights], [np.array(b, float) for b in biases], activations
    )


def _classic() -> tuple[nncore.Network, Any]:
    weights = [
        [[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]],
        [[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]],
        [[0.1, 0.3], [0.2, 0.4]],
    ]
    biases = [[0.1, 0.2, 0.3], [0.1, 0.2], [0.1, 0.2]]
    return _network(weights, biases, ["sigmoid", "sigmoid", "identity"]), [1.0, 0.5]


def _perceptron() -> tuple[nncore.Network, Any]:
    return _network([[[0.5], [0.5]]], [[-0.7]], ["step"]), [1.0, 1.0]


def _xor() -> tuple[nncore.Network, Any]:
    weights = [[[0.5, -0.5], [0.5, -0.5]], [[0.5], [0.5]]]
    return _network(weights, [[-0.2, 0.7], [-0.7]], ["step", "step"]), [1.0, 0.0]


def _learned_xor() -> tuple[nncore.Network, Any]:
    net = nncore.Network(
        [nncore.Dense(2, 4, activation="tanh"), nncore.Dense(4, 1, activation="sigmoid")], seed=0
    )
    x, t = [[0, 0], [1, 0], [0, 1], [1, 1]], [[0], [1], [1], [0]]
    net.fit(x, t, epochs=200, batch_size=4, optimizer=nncore.Adam(0.1))
    return net, [1.0, 0.0]


def _linear() -> tuple[nncore.Network, Any]:
    weights = [[[1.0, -1.0, 0.5]], [[2.0], [1.0], [-2.0]]]
    return _network(weights, [[0.5, 0.0, -0.5], [1.0]], ["identity", "identity"]), [2.0]


def _activations() -> tuple[nncore.Network, Any]:
    weights = [
        [[0.5, -0.5, 1.0], [0.0, 0.5, 0.5], [0.5, 0.5, -0.5]],
        [[1.0, 0.0], [0.0, 1.0], [0.5, -0.5]],
    ]
    return _network(weights, [[0.0] * 3, [0.0] * 2], ["sigmoid", "softmax"]), [0.2, -0.4, 0.6]


def _softmax() -> tuple[nncore.Network, Any]:
    return _network([np.eye(3)], [[0.0] * 3], ["softmax"]), [1010.0, 1000.0, 990.0]


def _backpropagation() -> tuple[nncore.Network, Any]:
    weights = [[[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]], [[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]]]
    return _network(weights, [[0.1, 0.2, 0.3], [0.1, 0.2]], ["sigmoid", "softmax"]), [1.0, 0.5]


def _deep() -> tuple[nncore.Network, Any]:
    sizes = [784] + [50] * 8
    hidden = [nncore.Dense(k, m, "sigmoid") for k, m in itertools.pairwise(sizes)]
    layers = [nncore.Rescaling(1 / 255), *hidden, nncore.Dense(50, 10, "softmax")]
    images, _ = nncore.datasets.make_digits(1, seed=7)
    return nncore.Network(layers, seed=0), images[0]


def _digits() -> tuple[nncore.Network, Any]:
    images, _ = nncore.datasets.make_digits(1, seed=7)
    return nncore.load_pretrained("digits"), images[0]


NETWORKS = {
    "classic": Interactive(
        {
            "en": "The classic network: two inputs, layers of three, two and two nodes",
            "ko": "딥러닝 입문서의 신경망: 입력 두 개, 각 층의 노드는 세 개, 두 개, 두 개",
        },
        _classic,
    ),
    "perceptron": Interactive(
        {"en": "A perceptron that computes AND", "ko": "AND를 계산하는 퍼셉트론"}, _perceptron
    ),
    "xor": Interactive({"en": "XOR from OR, NAND and AND", "ko": "OR, NAND, AND로 만든 XOR"}, _xor),
    "learned-xor": Interactive(
        {"en": "A network that has learned XOR", "ko": "XOR을 학습한 신경망"}, _learned_xor
    ),
    "linear": Interactive(
        {"en": "Two linear layers, which draw one line", "ko": "직선 하나를 그리는 두 선형 층"},
        _linear,
    ),
    "activations": Interactive(
        {
            "en": "A hidden layer whose activation can be changed",
            "ko": "활성화 함수를 바꿀 수 있는 은닉층",
        },
        _activations,
    ),
    "softmax": Interactive(
        {"en": "Softmax of large numbers", "ko": "큰 수의 소프트맥스"}, _softmax
    ),
    "backpropagation": Interactive(
        {
            "en": "The network of the lesson: two inputs, three hidden nodes, two classes",
            "ko": "이 장의 신경망: 입력 두 개, 은닉 노드 세 개, 클래스 두 개",
        },
        _backpropagation,
    ),
    "deep": Interactive(
        {
            "en": "Eight hidden layers of sigmoid that have learned nothing yet",
            "ko": "시그모이드를 쓰고 아직 아무것도 배우지 않은 여덟 은닉층",
        },
        _deep,
    ),
    "digits": Interactive(
        {
            "en": "The network that reads digits: draw one",
            "ko": "숫자를 읽는 신경망: 직접 그려 보기",
        },
        _digits,
    ),
}


class interactive_network(nodes.Element):
    """The place of a network on a page; `name` is its key in NETWORKS."""


class FindMarkers(SphinxTransform):
    """Replaces the comments; a name that NETWORKS lacks is warned of."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        for node in list(self.document.findall(nodes.raw)):
            found = MARKER.fullmatch(node.astext())
            if found is None:
                continue
            if found[1] in NETWORKS:
                node.replace_self(interactive_network("", name=found[1]))
            else:
                logging.getLogger(__name__).warning(
                    "interactive network is %r, expected one of %s",
                    found[1],
                    ", ".join(NETWORKS),
                    location=node,
                )


def resolve(app: Any, doctree: Any, docname: str) -> None:
    """Put the frames into the page."""
    here, language = app.builder.get_target_uri(docname), language_of(docname)
    for node in list(doctree.findall(interactive_network)):
        if app.builder.format != "html":
            node.parent.remove(node)
            continue
        shown = NETWORKS[node["name"]]
        wanted_pages(app).add((node["name"], language))
        file = f"{FOLDER}/{file_name(node['name'], language)}?language={language}"
        address = html.escape(relative_uri(here, file))
        title = html.escape(shown.title[language])
        frame = (
            '<figure class="interactive">\n'
            f'<iframe src="{address}" title="{title}" loading="lazy"></iframe>\n'
            f'<figcaption>{title}. <a href="{address}">{ALONE[language]}</a></figcaption>\n'
            "</figure>\n"
        )
        node.replace_self(nodes.raw("", frame, format="html"))


def write_pages(app: Any, exception: Exception | None) -> None:
    """Write the pages that the frames show."""
    if exception is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / FOLDER
    folder.mkdir(exist_ok=True)
    for name, language in sorted(wanted_pages(app)):
        net, x = NETWORKS[name].make()
        title = NETWORKS[name].title[language]
        page = net.to_html(x, title=title)
        page = page.replace("</body>", f"<script>\n{EMBEDDED}</script>\n</body>")
        (folder / file_name(name, language)).write_text(page, encoding="utf-8")


def file_name(name: str, language: str) -> str:
    return f"{name}.html" if language == "en" else f"{name}.{language}.html"


def wanted_pages(app: Any) -> set[tuple[str, str]]:
    """Return the names and languages that the pages written in this build ask for."""
    if not hasattr(app, "nncore_wanted_pages"):
        app.nncore_wanted_pages = set()
    wanted: set[tuple[str, str]] = app.nncore_wanted_pages
    return wanted


def setup(app: Any) -> dict[str, bool]:
    app.add_node(interactive_network)
    app.add_transform(FindMarkers)
    app.connect("doctree-resolved", resolve)
    app.connect("build-finished", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
