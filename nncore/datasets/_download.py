"""Download MNIST's files through pooch, or say within five seconds that it cannot.

Every file is checked by its hash before it gets its name, so that no half file is ever found.
A name server or a mirror that never answers can hold up a thread for minutes, whatever time-outs
are asked for; so the mirrors are tried in threads of their own, which are left behind when the time
is up (they are daemons and keep no process alive).
"""

from __future__ import annotations

import os
import sys
from typing import Any

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}

# Until a mirror has answered the first time, loading pooch included.  5 seconds are promised, and
# in them `nncore mnist` should also have started and drawn its digits.
PATIENCE = 3.0
# Then, for each connection and for each pause between two pieces: the network was there just now.
TIMEOUT = (5.0, 15.0)


def download_mnist(names: list[str], home: str) -> None:
    """Download the named files (keys of SHA256) into the folder `home`, which is made if need be.

    Raises
    ------
    ModuleNotFoundError
        If pooch is not installed.
    ConnectionError
        If no mirror answers, or none has a file whole.
    OSError
        If the folder cannot be made or written to.
    """
    import errno
    import time

    began = time.monotonic()
    try:
        import pooch  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise ModuleNotFoundError(
            f"MNIST is not in {home}, and downloading it needs pooch: pip install pooch tqdm",
            name="pooch",
        ) from None
    mirrors = _order_mirrors(names[0], began + PATIENCE)
    if not mirrors:
        raise ConnectionError(
            f"MNIST is not in {home}, and neither {' nor '.join(map(_host, MIRRORS))} can be "
            "reached to download it. With a network, try again; or put the files "
            f"{', '.join(names)} into that folder, or name another one in NNCORE_DATA_HOME; "
            "or draw digits with nncore.datasets.make_digits"
        )
    os.makedirs(home, exist_ok=True)
    if not os.access(home, os.W_OK):
        raise PermissionError(
            errno.EACCES, "MNIST cannot be downloaded into a folder that is read-only", home
        )
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # a progress bar is enough
    try:
        for name in names:
            _download(pooch, name, home, mirrors)
    finally:
        logger.setLevel(level)


def _order_mirrors(name: str, deadline: float) -> list[str]:
    """Return the mirrors, the first to answer in front; none if none answers in time."""
    import queue
    import threading
    import time

    answers: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()

    def ask(mirror: str) -> None:
        answers.put((mirror, _answers(mirror + name)))

    for mirror in MIRRORS:
        threading.Thread(target=ask, args=(mirror,), daemon=True).start()
    for _ in MIRRORS:
        try:
            mirror, good = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if good:
            return [mirror, *(other for other in MIRRORS if other != mirror)]
    return []


def _answers(url: str) -> bool:
    """Return whether a mirror has the file, asked as it would be downloaded.

    Hence proxies, certificates and the like are tried too.
    """
    import requests  # type: ignore[import-untyped, unused-ignore]  # pooch brings it along

    try:
        with requests.head(url, timeout=PATIENCE, allow_redirects=True) as response:
            return bool(response.status_code == 200)
    except Exception:  # a bad proxy raises odd things; they all mean no answer
        return False


def _download(pooch, name: str, home: str, mirrors: list[str]) -> None:  # type: ignore[no-untyped-def]
    """Download one file from the first mirror that has it whole."""
    import requests

    failures = []
    for mirror in mirrors:
        downloader = pooch.HTTPDownloader(
            progressbar=_progress_bar(),
            chunk_size=2**16,
            timeout=TIMEOUT,
            headers={"Accept-Encoding": "identity"},  # the .gz itself, not what is in it
        )
        try:
            pooch.retrieve(
                mirror + name,
                known_hash=f"sha256:{SHA256[name]}",
                fname=name,
                path=home,
                downloader=downloader,
            )
            return
        except requests.RequestException as error:
            failures.append(f"{_host(mirror)}: {error}")
        except ValueError:  # what pooch raises for another hash
            failures.append(f"{_host(mirror)}: the file is damaged (its sha256 is another one)")
    raise ConnectionError(f"{name} cannot be downloaded: " + "; ".join(failures))


def _progress_bar() -> Any:
    """Return a bar for pooch that fits the terminal, as pooch's own does not; False for none."""
    if sys.stderr is None or not sys.stderr.isatty():
        return False
    try:
        from tqdm import tqdm
    except ImportError:
        return False
    # A bar without a total is False, and pooch would take that for none.
    return tqdm(total=1, unit="B", unit_scale=True, dynamic_ncols=True)


def _host(url: str) -> str:
    return url.split("/")[2]
