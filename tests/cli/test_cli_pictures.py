"""`nncore predict` of PNG, JPEG and other pictures, whole, broken and hostile."""

from __future__ import annotations

import json
import struct
import sys
import zlib

import numpy as np
import pytest

import nncore

Image = pytest.importorskip("PIL.Image", reason="pictures need Pillow (extra images)")


@pytest.fixture(scope="module")
def digits():
    images, labels = nncore.datasets.make_digits(10, seed=8)
    return images.reshape(10, 28, 28), labels.tolist()


def paper(image, side=220):
    """Dark ink on light paper, with a margin."""
    large = Image.fromarray(255 - image).resize((side, side), Image.Resampling.BICUBIC)
    sheet = Image.new("L", (side + 80, side + 40), 255)
    sheet.paste(large, (50, 10))
    return sheet.point(lambda value: 30 + value * 200 // 255)


def labels_in(out):
    return [row["label"] for row in json.loads(out)["predictions"]]


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "tiff", "pgm", "webp"])
def test_every_kind_is_read(run, tmp_path, digits, kind):
    if kind == "webp":
        features = pytest.importorskip("PIL.features")
        if not features.check("webp"):
            pytest.skip("this Pillow has no WebP")
    images, labels = digits
    files = []
    for number, image in enumerate(images):
        files.append(tmp_path / f"{number}.{kind}")
        paper(image).save(files[-1])
    code, out, err = run("predict", *files, "--json")
    assert (code, err) == (0, "")
    assert sum(a == b for a, b in zip(labels_in(out), labels, strict=True)) >= 9
    assert json.loads(out)["inputs"][0]["done"][0] == "inverted (the ground is light)"


def test_it_is_shown_with_what_was_done(run, tmp_path, digits):
    images, labels = digits
    paper(images[0]).save(tmp_path / "one.png")
    code, out, err = run("predict", tmp_path / "one.png")
    assert code == 0
    assert out.split("\t")[1:3] == ["0", str(labels[0])]
    shown = [line for line in err.splitlines() if line.startswith("#  |")]
    assert len(shown) == 14
    assert any("@" in line for line in shown)
    words = " ".join(err.replace("#", "").split())
    assert "inverted (the ground is light), cropped to " in words
    assert "(switch off: --no-invert, --no-center, or all of it with --raw)" in words


def test_what_can_be_switched_off(run, tmp_path, digits):
    images, _ = digits
    Image.fromarray(images[0]).save(tmp_path / "mnist.png")
    code, out, _ = run("predict", tmp_path / "mnist.png", "--raw", "--json")
    net = nncore.load_pretrained("digits")
    (row,) = json.loads(out)["predictions"]
    assert row["probability"] == float(net(images[0].reshape(784)).max())
    Image.fromarray(255 - images[0]).save(tmp_path / "white.png")
    again = run("predict", tmp_path / "white.png", "--raw", "--invert", "--json")[1]
    assert json.loads(again)["predictions"][0]["probability"] == row["probability"]
    done = json.loads(run("predict", tmp_path / "white.png", "--no-center", "--json")[1])
    assert not any("centred" in each for each in done["inputs"][0]["done"])
    done = json.loads(run("predict", tmp_path / "white.png", "--no-invert", "--json")[1])
    assert not any("inverted" in each for each in done["inputs"][0]["done"])
    code, _, err = run("predict", tmp_path / "large.png", "--raw")
    paper(images[0]).save(tmp_path / "large.png")
    code, _, err = run("predict", tmp_path / "large.png", "--raw")
    assert code == 2
    assert "shape (260, 300), this network takes 784 features" in err


def test_modes_and_orientation(run, tmp_path, digits):
    images, labels = digits
    sheet = paper(images[2])
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held sideways
    sheet.rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif)
    clear = Image.new("RGBA", (220, 220), (0, 0, 0, 0))
    clear.putalpha(Image.fromarray(images[2]).resize((220, 220)))
    clear.save(tmp_path / "clear.png")
    sheet.convert("1").save(tmp_path / "bits.png")
    sheet.convert("P").save(tmp_path / "palette.png")
    sheet.convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.fromarray(np.asarray(sheet).astype(np.uint16) * 257).save(tmp_path / "deep.png")
    names = ["turned.jpg", "clear.png", "bits.png", "palette.png", "cmyk.jpg", "deep.png"]
    code, out, err = run("predict", *(tmp_path / name for name in names), "--json")
    assert (code, err) == (0, "")
    assert labels_in(out) == [labels[2]] * len(names)
    assert json.loads(out)["inputs"][0]["done"][0] == "turned upright"


def test_without_pillow_it_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    code, out, err = run("predict", "picture.png")
    assert (code, out) == (2, "")
    assert err == (
        "nncore: error: picture.png: reading PNG pictures needs Pillow: pip install pillow\n"
    )


def bomb(width, height):
    """A PNG that says it is large, in a hundred bytes."""

    def chunk(kind, data):
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [12_000, 100_000, 2**31 - 1])
def test_too_many_pixels_are_refused_unread(run, tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(bomb(side, side))
    code, out, err = run("predict", tmp_path / "bomb.png")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "bomb.png: " in err
    assert "pixels" in err


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "tiff"])
def test_broken_files_are_one_line(run, tmp_path, digits, kind):
    path = tmp_path / f"digit.{kind}"
    paper(digits[0][1], 60).save(path)
    whole = path.read_bytes()
    random = np.random.default_rng(7)
    refused = 0
    for share in (0.05, 0.3, 0.6, 0.95):
        path.write_bytes(whole[: int(len(whole) * share)])
        code, out, err = run("predict", path)
        assert code == 2, share
        assert (out, err.count("\n")) == ("", 1)
        assert "mistake in nncore" not in err
    for _ in range(40):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 8):
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        code, out, err = run("predict", path)
        assert code in (0, 2)
        assert "mistake in nncore" not in err
        refused += code == 2
    assert refused or kind in ("bmp", "tiff", "jpg", "gif")


def test_a_picture_of_nothing_is_refused(run, tmp_path):
    Image.new("L", (100, 100), 255).save(tmp_path / "white.png")
    code, _, err = run("predict", tmp_path / "white.png")
    assert code == 2
    assert "white.png: has the same brightness everywhere, expected ink on a ground" in err
