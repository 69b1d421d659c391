"""IDX files: what is written is read; what is broken or hostile is refused by name."""

import gzip
import os
import struct
import tracemalloc

import numpy as np
import pytest

from nncore.datasets.idx import read_idx, write_idx

TYPES = ["uint8", "int8", "int16", "int32", "float32", "float64"]


def header(code, *shape):
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)


@pytest.mark.parametrize("name", ["a-idx3-ubyte", "a-idx3-ubyte.gz"])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0,), (3, 0, 2), (1,) * 32])
def test_what_is_written_is_read(tmp_path, name, dtype, shape):
    a = (np.arange(np.prod(shape, dtype=int)).reshape(shape) * 5 - 3).astype(dtype)
    write_idx(tmp_path / name, a)
    b = read_idx(tmp_path / name)
    assert b.dtype == np.dtype(dtype)
    assert b.dtype.isnative
    assert b.shape == shape
    assert np.array_equal(a, b)
    assert b.flags.writeable
    assert b.flags.c_contiguous
    assert os.listdir(tmp_path) == [name]


def test_the_bytes_are_those_of_the_format(tmp_path):
    write_idx(tmp_path / "a", np.array([[1, -2, 3]], dtype=np.int16))
    expected = b"\0\0\x0b\x02" + b"\0\0\0\x01" + b"\0\0\0\x03" + b"\0\x01\xff\xfe\0\x03"
    assert (tmp_path / "a").read_bytes() == expected


def test_any_layout_and_byte_order_is_written(tmp_path):
    a = np.arange(24, dtype=">i4").reshape(4, 6)[::2, ::-1].T
    write_idx(tmp_path / "a", a)
    assert np.array_equal(read_idx(tmp_path / "a"), a)


def test_the_content_tells_whether_it_is_compressed_not_the_name(tmp_path):
    a = np.arange(4, dtype=np.uint8)
    write_idx(tmp_path / "a.gz", a)
    os.rename(tmp_path / "a.gz", tmp_path / "a")
    assert np.array_equal(read_idx(str(tmp_path / "a")), a)
    write_idx(tmp_path / "b", a)
    os.rename(tmp_path / "b", tmp_path / "b.gz")
    assert np.array_equal(read_idx(os.fsencode(tmp_path / "b.gz")), a)


def test_writing_replaces_a_file_whole_or_leaves_it(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_idx(path, np.zeros(3, np.uint8))

    def refuse(source, target):
        raise OSError(28, "No space left on device", target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(OSError, match="No space left"):
            write_idx(path, np.ones(4, np.uint8))
    assert read_idx(path).tolist() == [0, 0, 0]
    assert os.listdir(tmp_path) == ["a"]
    write_idx(path, np.ones(4, np.uint8))
    assert read_idx(path).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("dtype", ["uint16", "int64", "bool", "complex64", "U3", "O", "float16"])
def test_other_types_are_not_written(tmp_path, dtype):
    text = r"array has dtype .*, expected one of uint8, int8, .*, float64$"
    with pytest.raises(TypeError, match=text):
        write_idx(tmp_path / "a", np.zeros(2, dtype))
    assert os.listdir(tmp_path) == []


def test_other_shapes_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="array has 0 dimensions, expected 1 to 32"):
        write_idx(tmp_path / "a", np.float32(1))
    wide = np.broadcast_to(np.uint8(0), (0, 2**32))
    text = r"array has shape \(0, 4294967296\), expected dimensions below 2\*\*32"
    with pytest.raises(ValueError, match=text):
        write_idx(tmp_path / "a", wide)


BROKEN = [
    (b"\0\0\x08", "not an IDX file: it begins with 00 00 08, expected 00 00, a type"),
    (b"\x93NUMPY\x01\x00v\x00", "not an IDX file: it begins with 93 4e 55 4d"),
    (header(0x0A, 3) + b"abc", "type 0a, expected one of 08, 09, 0b, 0c, 0d, 0e"),
    (header(0x08) + b"a", "0 dimensions, expected 1 to 32"),
    (b"\0\0\x08\x40" + b"\0\0\0\1" * 64 + b"a", "64 dimensions, expected 1 to 32"),
    (header(0x08, 2, 3)[:-1], "ends within its header"),
    (header(0x08, 2, 3) + b"abcde", "promises 2x3 numbers, 6 bytes; "),
    (header(0x08, 2, 3) + b"abcdefg", "promises 2x3 numbers, 6 bytes; "),
    (header(0x0E, 2) + b"a" * 8, "promises 2 numbers, 16 bytes; "),
    (header(0x08, 2**31), "2147483648 numbers, 2147483648 bytes, expected at most 1073741824"),
    (header(0x0E, *[2**32 - 1] * 32), "expected at most 1073741824"),
    (header(0x08, 0, *[2**32 - 1] * 5), "; no array has dimensions so large"),
    (header(0x0E, 2**32 - 1, 0, 2**31 - 1), "; no array has dimensions so large"),
    (header(0x08, 2**29), "promises 536870912 numbers, 536870912 bytes; "),
]


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(("content", "text"), BROKEN)
def test_broken_files_are_refused_by_name(tmp_path, content, text, compress):
    path = tmp_path / "broken"
    path.write_bytes(gzip.compress(content) if compress else content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="broken: ") as caught:
            read_idx(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(f"{path}: ")
    assert text in str(caught.value)
    assert peak < 2**20  # nothing of the size that the header promises


def test_every_truncated_gzip_file_is_refused(tmp_path):
    path = tmp_path / "a.gz"
    write_idx(path, np.arange(50, dtype=np.uint8))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"a\.gz: "):
            read_idx(path)


def test_every_flipped_byte_of_a_gzip_file_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "a.gz"
    a = np.arange(50, dtype=np.uint8)
    write_idx(path, a)
    whole = path.read_bytes()
    refusals = []
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            b = read_idx(path)
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert np.array_equal(a, b)  # a time stamp or the like
    assert len(refusals) > len(whole) - 10
    assert all(text.startswith(f"{path}: ") for text in refusals)


def test_garbage_after_a_gzip_file_is_refused(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(header(0x08, 2) + b"ab") + b"garbage")
    with pytest.raises(ValueError, match=r"a\.gz: is a damaged gzip file"):
        read_idx(path)


def test_a_gzip_bomb_is_neither_unpacked_nor_given_room(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(header(0x08, 10) + bytes(2**26)))  # 64 MB in 64 kB
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"bomb.gz: .* 10 numbers, 10 bytes; there are more"):
            read_idx(path)
        with pytest.raises(ValueError, match=r"bomb.gz: .*, expected at most 5"):
            read_idx(path, max_bytes=5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**21


def test_empty_files_are_refused(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ValueError, match=r"empty: is empty \(0 bytes\)"):
        read_idx(tmp_path / "empty")
    (tmp_path / "empty.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(ValueError, match=r"empty\.gz: is not an IDX file: it begins with nothing"):
        read_idx(tmp_path / "empty.gz")


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"path is of type int, expected a str"):
        read_idx(3)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(OSError, match=tmp_path.name):
        read_idx(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match="pipe: is not a regular file"):
            read_idx(tmp_path / "pipe")
