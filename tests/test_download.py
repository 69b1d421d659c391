"""Downloads, from servers of the test's own: whole files or none, and no long waits."""

import hashlib
import http.server
import os
import socket
import sys
import threading

import pytest

from nncore.datasets import _download
from nncore.datasets._download import download_mnist

NAMES = sorted(_download.SHA256)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


class Mirror:
    """A web server on this machine that hands out a folder, or misbehaves."""

    def __init__(self, folder, *, damaged=False, stops_halfway=False, status=200):
        mirror = self
        self.hold = threading.Event()  # HEAD is answered once this is set
        self.hold.set()
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def content(self):
                mirror.hold.wait(10)
                with open(os.path.join(folder, self.path.lstrip("/")), "rb") as file:
                    content = file.read()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                return content

            def do_HEAD(self):
                self.content()

            def do_GET(self):
                mirror.asked.append(self.path.lstrip("/"))
                content = self.content()
                if damaged:
                    content = bytes(len(content))
                if stops_halfway:
                    content = content[: len(content) // 2]
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.hold.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A folder with what the mirrors hold, whose hashes are the known ones."""
    pytest.importorskip("pooch", reason="downloads need pooch (extra demo)")
    folder = tmp_path / "published"
    folder.mkdir()
    hashes = {}
    for name in NAMES:
        content = os.urandom(200_000)
        (folder / name).write_bytes(content)
        hashes[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(_download, "SHA256", hashes)
    return folder


def assert_downloaded(home, published):
    assert sorted(os.listdir(home)) == NAMES
    for name in NAMES:
        assert (home / name).read_bytes() == (published / name).read_bytes()


def test_the_hashes_of_all_four_files_are_known():
    assert NAMES == [
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
    assert all(len(bytes.fromhex(sha256)) == 32 for sha256 in _download.SHA256.values())
    assert len(_download.MIRRORS) >= 2
    assert all(mirror.startswith("https://") for mirror in _download.MIRRORS)


def test_files_are_downloaded_into_a_new_folder(published, tmp_path, monkeypatch):
    home = tmp_path / "new" / "home"
    with Mirror(published) as mirror:
        monkeypatch.setattr(_download, "MIRRORS", (mirror.url,))
        download_mnist(NAMES, str(home))
        assert mirror.asked == NAMES
    assert_downloaded(home, published)


def test_the_mirror_that_answers_first_is_taken(published, tmp_path, monkeypatch):
    with Mirror(published) as slow, Mirror(published) as quick:
        slow.hold.clear()
        monkeypatch.setattr(_download, "MIRRORS", (slow.url, quick.url))
        download_mnist(NAMES, str(tmp_path / "home"))
        assert slow.asked == []
        assert len(quick.asked) == 4


@pytest.mark.parametrize("fault", [{"damaged": True}, {"stops_halfway": True}])
def test_from_a_bad_mirror_to_the_other_one(published, tmp_path, monkeypatch, fault):
    home = tmp_path / "home"
    with Mirror(published, **fault) as bad, Mirror(published) as good:
        good.hold.clear()  # so that the bad one answers first
        monkeypatch.setattr(_download, "MIRRORS", (good.url, bad.url))
        threading.Timer(0.3, good.hold.set).start()
        download_mnist(NAMES, str(home))
        assert len(bad.asked) == 4
        assert len(good.asked) == 4
    assert_downloaded(home, published)


@pytest.mark.parametrize("fault", [{"damaged": True}, {"stops_halfway": True}])
def test_never_half_a_file(published, tmp_path, monkeypatch, fault):
    home = tmp_path / "home"
    with Mirror(published, **fault) as bad:
        monkeypatch.setattr(_download, "MIRRORS", (bad.url,))
        with pytest.raises(
            ConnectionError, match=r"t10k-images-idx3-ubyte\.gz cannot be downloaded"
        ):
            download_mnist(NAMES, str(home))
    assert os.listdir(home) == []


def test_a_home_that_cannot_be_written_to_is_named(published, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(home))
    with Mirror(published) as mirror:
        monkeypatch.setattr(_download, "MIRRORS", (mirror.url,))
        with pytest.raises(PermissionError, match=r"into a folder that is read-only: .*home"):
            download_mnist(NAMES, str(home))
    assert os.listdir(home) == []


def silent_server():
    """Takes connections and never says a word."""
    server = socket.create_server(("127.0.0.1", 0), backlog=16)
    return server, f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.mark.parametrize("how", ["refused", "silent", "no names", "not there", "no mirrors"])
def test_without_a_network_the_answer_comes(published, tmp_path, monkeypatch, how):
    monkeypatch.setattr(_download, "PATIENCE", 0.5)
    server, url = silent_server()
    held = threading.Event()
    with server, Mirror(published, status=404) as absent:
        if how == "silent":
            monkeypatch.setattr(_download, "MIRRORS", (url, url))
        elif how == "refused":
            server.close()
            monkeypatch.setattr(_download, "MIRRORS", (url, url))
        elif how == "not there":
            monkeypatch.setattr(_download, "MIRRORS", (absent.url, absent.url))
        elif how == "no names":  # a name server that never answers; no time-out reaches in there

            def hang(*args, **kwargs):
                held.wait(60)
                raise socket.gaierror(-3, "Temporary failure in name resolution")

            monkeypatch.setattr(socket, "getaddrinfo", hang)
            monkeypatch.setattr(_download, "MIRRORS", ("http://a.test/", "http://b.test/"))
        with pytest.raises(ConnectionError, match="can be reached to download it") as caught:
            download_mnist(NAMES, str(tmp_path / "home"))
        assert not held.is_set()
        held.set()
    assert "NNCORE_DATA_HOME" in str(caught.value)
    for other in threading.enumerate():  # none outlives the test that it belongs to
        if other.daemon and "ask" in other.name:
            other.join(10)
    assert not (tmp_path / "home").exists()


def test_without_pooch_the_command_that_brings_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        download_mnist(NAMES, str(tmp_path / "home"))
    assert "needs pooch: pip install pooch tqdm" in str(caught.value)
    assert str(tmp_path / "home") in str(caught.value)
    assert not (tmp_path / "home").exists()
