"""The opcodes of pickles: how many bytes of argument each has, and of which form.

The facts are those of ``pickletools.opcodes`` (protocols 0 to 5), and a test compares the two. They
stand here as two tables by byte, because ``pickletools`` reads arguments from a file and decodes
each, which costs more than walking.
"""

from typing import Final

__all__ = ["FIXED", "LINES", "NAMES", "PREFIXES"]

_NO_ARGUMENT: Final = {
    "NEXT_BUFFER": 0x97,
    "READONLY_BUFFER": 0x98,
    "NONE": 0x4E,
    "NEWTRUE": 0x88,
    "NEWFALSE": 0x89,
    "EMPTY_LIST": 0x5D,
    "APPEND": 0x61,
    "APPENDS": 0x65,
    "LIST": 0x6C,
    "EMPTY_TUPLE": 0x29,
    "TUPLE": 0x74,
    "TUPLE1": 0x85,
    "TUPLE2": 0x86,
    "TUPLE3": 0x87,
    "EMPTY_DICT": 0x7D,
    "DICT": 0x64,
    "SETITEM": 0x73,
    "SETITEMS": 0x75,
    "EMPTY_SET": 0x8F,
    "ADDITEMS": 0x90,
    "FROZENSET": 0x91,
    "POP": 0x30,
    "DUP": 0x32,
    "MARK": 0x28,
    "POP_MARK": 0x31,
    "MEMOIZE": 0x94,
    "STACK_GLOBAL": 0x93,
    "REDUCE": 0x52,
    "BUILD": 0x62,
    "OBJ": 0x6F,
    "NEWOBJ": 0x81,
    "NEWOBJ_EX": 0x92,
    "STOP": 0x2E,
    "BINPERSID": 0x51,
}
_FIXED: Final = {
    "BININT": (0x4A, 4),
    "BININT1": (0x4B, 1),
    "BININT2": (0x4D, 2),
    "BINFLOAT": (0x47, 8),
    "BINGET": (0x68, 1),
    "LONG_BINGET": (0x6A, 4),
    "BINPUT": (0x71, 1),
    "LONG_BINPUT": (0x72, 4),
    "EXT1": (0x82, 1),
    "EXT2": (0x83, 2),
    "EXT4": (0x84, 4),
    "PROTO": (0x80, 1),
    "FRAME": (0x95, 8),
}
_PREFIXED: Final = {
    "LONG1": (0x8A, 1, False),
    "LONG4": (0x8B, 4, True),
    "BINSTRING": (0x54, 4, True),
    "SHORT_BINSTRING": (0x55, 1, False),
    "BINBYTES": (0x42, 4, False),
    "SHORT_BINBYTES": (0x43, 1, False),
    "BINBYTES8": (0x8E, 8, False),
    "BYTEARRAY8": (0x96, 8, False),
    "SHORT_BINUNICODE": (0x8C, 1, False),
    "BINUNICODE": (0x58, 4, False),
    "BINUNICODE8": (0x8D, 8, False),
}
_LINES: Final = {
    "INT": (0x49, 1),
    "LONG": (0x4C, 1),
    "STRING": (0x53, 1),
    "UNICODE": (0x56, 1),
    "FLOAT": (0x46, 1),
    "GET": (0x67, 1),
    "PUT": (0x70, 1),
    "GLOBAL": (0x63, 2),
    "INST": (0x69, 2),
    "PERSID": (0x50, 1),
}

NAMES: Final = (
    {byte: name for name, byte in _NO_ARGUMENT.items()}
    | {byte: name for name, (byte, _) in _FIXED.items()}
    | {byte: name for name, (byte, *_) in _PREFIXED.items()}
    | {byte: name for name, (byte, _) in _LINES.items()}
)
"""Name of each opcode by its byte, as ``pickletools`` has it."""


def _fixed() -> tuple[int, ...]:
    table = [-1] * 256
    for byte in _NO_ARGUMENT.values():
        table[byte] = 0
    for byte, count in _FIXED.values():
        table[byte] = count
    return tuple(table)


FIXED: Final = _fixed()
"""Bytes of argument of each opcode; -1 where they vary, and for bytes that are no opcode."""

PREFIXES: Final = {byte: (width, signed) for byte, width, signed in _PREFIXED.values()}
"""Opcodes with a length before their bytes: width of that length, and whether it has a sign."""

LINES: Final = dict(_LINES.values())
"""Opcodes of protocol 0 with lines of text behind them: how many lines."""
