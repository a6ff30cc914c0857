"""Write pickles opcode by opcode, and the containers that hold them, without their libraries."""

import io
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from prefect_mutagen.parsers.byte_ranges import NeedRanges
from prefect_mutagen.parsers.pickle import PickleHeader, PickleReader, read_pickle

PROTO2, PROTO4 = b"\x80\x02", b"\x80\x04"
CALL = b"(S'id'\ntR"
"""Arguments, and the call of what lies below them."""
SYSTEM = b"cos\nsystem\n"
PAYLOAD = SYSTEM + CALL
TORCH_MAGIC = 0x1950A86A20F9469CFC6C


def read(data: bytes, allowed: Sequence[str] = ()) -> PickleHeader:
    """Read a file that is at hand."""
    return drive(data, read_pickle(len(data), allowed))[0]


def drive(data: bytes, reader: PickleReader) -> tuple[PickleHeader, list[NeedRanges]]:
    """Serve a reader, and check that it asks for what there is."""
    asked: list[NeedRanges] = []
    answer = reader.feed(())
    while isinstance(answer, NeedRanges):
        asked.append(answer)
        last = -1
        for part in answer.ranges:
            assert last < part.start < part.stop <= len(data)
            last = part.stop
        answer = reader.feed([(part.start, data[part.start : part.stop]) for part in answer.ranges])
    return answer, asked


def text(value: str) -> bytes:
    """Push a short string."""
    raw = value.encode("utf-8", "surrogatepass")
    return b"\x8c" + bytes((len(raw),)) + raw


def binary(value: bytes) -> bytes:
    """Push bytes."""
    return b"B" + struct.pack("<I", len(value)) + value


def stack_global(module: str, name: str) -> bytes:
    """Import by two strings on the stack."""
    return text(module) + text(name) + b"\x93"


def zipped(entries: Mapping[str, bytes], method: int = zipfile.ZIP_STORED, **options: Any) -> bytes:
    """Write a ZIP archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method, **options) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def miniz(entries: Mapping[str, bytes]) -> bytes:
    """Write a ZIP archive as torch's own writer does.

    Sizes and CRC stand behind the data; entries begin at multiples of 64 bytes.
    """
    body, directory = b"", b""
    for name, data in entries.items():
        raw, crc = name.encode(), zlib.crc32(data)
        pad = -(len(body) + 30 + len(raw) + 4) % 64
        extra = b"FB" + struct.pack("<H", pad) + b"Z" * pad
        fixed = (20, 0x808, 0, 0, 0)
        sizes = (crc, len(data), len(data))
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 0, *fixed, *sizes, len(raw), 0, 0, 0, 0, 0, len(body)
        )
        directory += raw
        body += struct.pack("<4s5H3L2H", b"PK\3\4", *fixed, 0, 0, 0, len(raw), len(extra))
        body += raw + extra + data + struct.pack("<4s3L", b"PK\7\x08", *sizes)
    count = len(entries)
    end = (0, 0, count, count, len(directory), len(body), 0)
    return body + directory + struct.pack("<4s4H2LH", b"PK\5\6", *end)


def torch_zip(data: bytes, storages: Mapping[str, bytes] | None = None, **more: bytes) -> bytes:
    """Write torch's format of today around a pickle."""
    entries = {"archive/data.pkl": data, "archive/byteorder": b"little"}
    entries |= {f"archive/data/{key}": value for key, value in (storages or {}).items()}
    entries |= {f"archive/{name}": value for name, value in more.items()}
    entries |= {"archive/version": b"3\n", "archive/.data/serialization_id": b"1" * 40}
    return zipped(entries)


def storage_id(key: str, count: int, kind: str = "FloatStorage") -> bytes:
    """Push a persistent id of torch, and look it up."""
    return (
        b"("
        + text("storage")
        + b"ctorch\n"
        + kind.encode()
        + b"\n"
        + text(key)
        + text("cpu")
        + b"J"
        + struct.pack("<i", count)
        + b"tQ"
    )


def tensor(key: str, shape: tuple[int, ...], kind: str = "FloatStorage") -> bytes:
    """Push a tensor as torch writes it."""
    count = 1
    for dim in shape:
        count *= dim
    dims = b"(" + b"".join(b"J" + struct.pack("<i", dim) for dim in shape) + b"t"
    hooks = b"ccollections\nOrderedDict\n)R"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage_id(key, count, kind)
        + b"K\x00"
        + dims
        + dims
        + b"\x89"
        + hooks
        + b"tR"
    )


def state_dict(tensors: Mapping[str, tuple[int, ...]], kind: str = "FloatStorage") -> bytes:
    """Write the stream of a state dict; storages are numbered."""
    body = b"".join(
        text(name) + tensor(str(number), shape, kind)
        for number, (name, shape) in enumerate(tensors.items())
    )
    return PROTO2 + b"ccollections\nOrderedDict\n)R(" + body + b"u."


def torch_legacy(data: bytes, storages: Mapping[str, bytes]) -> bytes:
    """Write torch's format of 2017: five streams and raw data."""
    streams = [
        pickle.dumps(TORCH_MAGIC, 2),
        pickle.dumps(1001, 2),
        pickle.dumps({"little_endian": True, "protocol_version": 1001}, 2),
        data,
        pickle.dumps(sorted(storages), 2),
    ]
    raw = [struct.pack("<Q", len(storages[key]) // 4) + storages[key] for key in sorted(storages)]
    return b"".join((*streams, *raw))


def tarred(members: Mapping[str, bytes]) -> bytes:
    """Write a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def torch_tar(data: bytes, extra: bytes = b"") -> bytes:
    """Write torch's format of 2016, with one storage of four floats and its tensor."""
    storage = PROTO2 + b"(K\x07" + text("cpu") + b"ctorch\nFloatStorage\nt."
    storages = pickle.dumps(1, 2) + storage + struct.pack("<Q", 4) + bytes(16) + pickle.dumps([], 2)
    entry = PROTO2 + b"(K\x09K\x07ctorch\nFloatTensor\nt."
    shape = struct.pack("<iiqqq", 1, 0, 4, 1, 0)
    tensors = pickle.dumps(1, 2) + entry + shape
    return tarred(
        {
            "sys_info": pickle.dumps({}, 2),
            "pickle": data,
            "storages": storages + extra,
            "tensors": tensors,
        }
    )


def joblib_array(
    values: bytes, count: int, dtype: str = "f4", alignment: bytes = b"K\x10", pad: int = 4
) -> bytes:
    """Push an array as joblib writes it: a wrapper, and the raw bytes behind it."""
    wrapper = (
        b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}("
        + text("subclass")
        + b"cnumpy\nndarray\n"
        + text("shape")
        + b"J"
        + struct.pack("<i", count)
        + b"\x85"
        + text("order")
        + text("C")
        + text("dtype")
        + b"cnumpy\ndtype\n"
        + text(dtype)
        + b"\x89\x88\x87R"
        + text("allow_mmap")
        + b"\x88"
        + text("numpy_array_alignment_bytes")
        + alignment
        + b"ub"
    )
    padding = bytes((pad,)) + b"\xff" * pad if alignment != b"N" else b""
    return wrapper + padding + values


def npy(data: bytes, descr: str = "'<f4'", shape: str = "(1,)", version: int = 1) -> bytes:
    """Write a NumPy file with any header."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes((version, 0)) + length + header + data


def patched(data: bytes, at: int, value: bytes) -> bytes:
    """Put other bytes at an offset."""
    return data[:at] + value + data[at + len(value) :]


def central(data: bytes, name: str) -> int:
    """Return the offset of an entry in the directory."""
    return data.rfind(b"PK\x01\x02", 0, data.rfind(name.encode()))


def local(data: bytes, name: str) -> int:
    """Return the offset of an entry's own header."""
    return data.rfind(b"PK\x03\x04", 0, data.find(name.encode()))
