"""Aligned .npz archives: what `numpy.load` reads, laid out so that its arrays can be mapped into memory.

A .npz file is a ZIP archive of .npy files. ZIP: PKWARE's APPNOTE 6.3, sections 4.3 and 4.5.3 (ZIP64). The padding is
that of Android's zipalign: an extra field 0xD935 in the local header of a member, as long as it takes for its data to
begin at a multiple of 64. The header of a .npy file is a multiple of 64 long, and so the numbers begin at one, too.

Nothing that an archive says of itself is believed before it is held against the size of the file.
"""

from __future__ import annotations

import io
import mmap
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rlcore.errors import ModelError

ALIGNMENT = 64
CHUNK = 1 << 24  # bytes that are written or summed at a time: Ctrl-C is obeyed in between

LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
END64, LOCATOR64 = b"PK\6\6", b"PK\6\7"
LOCAL_FIELDS = struct.Struct("<4sHHHHHIIIHH")
CENTRAL_FIELDS = struct.Struct("<4sHHHHHHIIIHHHHHII")
END_FIELDS = struct.Struct("<4sHHHHIIH")
END64_FIELDS = struct.Struct("<4sQHHIIQQQQ")
LOCATOR64_FIELDS = struct.Struct("<4sIQI")

STORED, DEFLATED = 0, 8
ENCRYPTED, SIZES_FOLLOW = 1, 8
ZIP64_EXTRA, PADDING_EXTRA = 0x0001, 0xD935
IN_64_BITS, IN_64_BITS_SHORT = 0xFFFFFFFF, 0xFFFF
NEW_YEAR_1980 = 0x0021  # every member has this date, so that the same model makes the same bytes

# What a 32-bit field may hold; from here on the number goes to a ZIP64 field.
LARGEST_32_BIT = IN_64_BITS - 1

# A model has at most a dozen members. Whatever has far more is something else, and is not read further.
MOST_MEMBERS, MOST_DIRECTORY_BYTES = 1000, 1 << 20

# Compressed members may grow to this much, or to so many times the file. Compressed models shrink to about a tenth.
MOST_GROWTH_BYTES, MOST_GROWTH = 1 << 28, 100

NPY_MAGIC = b"\x93NUMPY"
NPY_HEADER = re.compile(
    rb"\{'descr': '([<>|=][a-z]\d{1,2})', 'fortran_order': (?:True|False), 'shape': \((\d{1,18}),\), \} *\n"
)
LONGEST_NPY_HEADER = 4096

NOT_A_MODEL = "pass a file that rlcore.save wrote"
RESTORE = "restore the file from a copy, or save the model again"


def refusal(path: str, fault: str, remedy: str = RESTORE) -> ModelError:
    """Return the error that says what is wrong with a file, and what to do."""
    return ModelError(f"{path!r}: {fault}; {remedy}")


# ---- writing ----


@dataclass(slots=True)
class Written:
    """What the directory must say of a member."""

    name: bytes
    offset: int
    size: int
    checksum: int


class ArchiveWriter:
    """Writes vectors into an archive, one after the other, without a copy of them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._written: list[Written] = []

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Write one vector. Its checksum is formed on the way, and entered into the header that stands before it."""
        header = _npy_header(array)
        member = Written(f"{name}.npy".encode(), self._file.tell(), len(header) + array.nbytes, zlib.crc32(header))
        self._file.write(_local_header(member))
        self._file.write(header)
        step = max(1, CHUNK // array.itemsize)
        for begin in range(0, array.size, step):
            chunk = np.ascontiguousarray(array[begin : begin + step], array.dtype.newbyteorder("<")).data.cast("B")
            member.checksum = zlib.crc32(chunk, member.checksum)
            self._file.write(chunk)
        behind = self._file.tell()
        self._file.seek(member.offset)
        self._file.write(_local_header(member))
        self._file.seek(behind)
        self._written.append(member)

    def finish(self) -> None:
        """Write the directory."""
        begin = self._file.tell()
        for member in self._written:
            self._file.write(_central_header(member))
        end = self._file.tell()
        count, size = len(self._written), end - begin
        if begin > LARGEST_32_BIT:
            self._file.write(END64_FIELDS.pack(END64, 44, 45, 45, 0, 0, count, count, size, begin))
            self._file.write(LOCATOR64_FIELDS.pack(LOCATOR64, 0, end, 1))
        self._file.write(END_FIELDS.pack(END, 0, 0, count, count, size, _in_32_bits(begin), 0))


def _npy_header(array: NDArray[Any]) -> bytes:
    text = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(array.dtype.newbyteorder("<"))
    np.lib.format.write_array_header_1_0(text, {"descr": descr, "fortran_order": False, "shape": array.shape})
    return text.getvalue()


def _local_header(member: Written) -> bytes:
    large = member.size > LARGEST_32_BIT
    extra = struct.pack("<HHQQ", ZIP64_EXTRA, 16, member.size, member.size) if large else b""
    extra += _padding(member.offset + LOCAL_FIELDS.size + len(member.name) + len(extra))
    version, size = 45 if large else 20, _in_32_bits(member.size)
    fields = (LOCAL, version, 0, STORED, 0, NEW_YEAR_1980, member.checksum, size, size, len(member.name), len(extra))
    return LOCAL_FIELDS.pack(*fields) + member.name + extra


def _padding(offset: int) -> bytes:
    """Return the extra field after which an offset is a multiple of 64."""
    length = -(offset + 6) % ALIGNMENT
    return struct.pack("<HHH", PADDING_EXTRA, 2 + length, ALIGNMENT) + bytes(length)


def _central_header(member: Written) -> bytes:
    large = [number for number in (member.size, member.size, member.offset) if number > LARGEST_32_BIT]
    extra = struct.pack(f"<HH{len(large)}Q", ZIP64_EXTRA, 8 * len(large), *large) if large else b""
    version, size = 45 if large else 20, _in_32_bits(member.size)
    dated = (CENTRAL, version, version, 0, STORED, 0, NEW_YEAR_1980, member.checksum, size, size)
    placed = (len(member.name), len(extra), 0, 0, 0, 0, _in_32_bits(member.offset))
    return CENTRAL_FIELDS.pack(*dated, *placed) + member.name + extra


def _in_32_bits(number: int) -> int:
    return number if number <= LARGEST_32_BIT else IN_64_BITS


# ---- reading ----


@dataclass(frozen=True, slots=True)
class Member:
    """A member, as the directory and its own header describe it."""

    name: str
    begin: int
    """Where its bytes begin in the file."""
    stored: int
    """How many there are."""
    size: int
    """How many there are when they are expanded."""
    method: int
    checksum: int


class Archive:
    """An archive that is mapped into memory, and checked as far as it can be without reading its numbers."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._memory = _mapped(path)
        self._mapped: list[Member] = []
        self._members = _checked_members(path, memoryview(self._memory))

    @property
    def names(self) -> set[str]:
        """The names of the arrays, without .npy."""
        return set(self._members)

    def array(self, name: str, dtype: str, count: int | None = None, most: int | None = None) -> NDArray[Any]:
        """Return a vector of this type and length, read-only; mapped if it can be, else copied."""
        member = self._members[name]
        if most is not None and member.size > most:
            raise self._bad(f"{name} has {member.size} bytes, and at most {most} were expected")
        data = self._expanded(member)
        begin, found, length = self._npy_fields(name, data)
        expected = np.dtype(dtype)
        if np.dtype(found).newbyteorder("=") != expected:
            raise self._bad(f"{name} has the type {found}, and {expected.str} was expected")
        if count is not None and length != count:
            raise self._bad(f"{name} has {length} numbers, and {count} were expected")
        if len(data) - begin != length * expected.itemsize:
            raise self._bad(f"{name} has {len(data) - begin} bytes for {length} numbers of {expected.itemsize} bytes")
        if length == 0:
            return np.empty(0, expected)
        array: NDArray[Any] = np.frombuffer(data, np.dtype(found), offset=begin)
        return self._usable(member, array, expected)

    def check_sums(self, names: set[str] | None = None) -> None:
        """Hold the mapped arrays against their CRC-32: some of them, or all."""
        for member in self._mapped:
            if names is None or member.name in names:
                self._check_sum(member, self._bytes_of(member))

    def _usable(self, member: Member, array: NDArray[Any], expected: np.dtype[Any]) -> NDArray[Any]:
        """Map what lies as the processor wants it, and copy the rest."""
        if member.method == STORED:
            self._mapped.append(member)
        if array.flags.aligned and array.dtype == expected:
            return array
        array = array.astype(expected)
        array.flags.writeable = False
        return array

    def _expanded(self, member: Member) -> memoryview:
        data = self._bytes_of(member)
        if member.method == STORED:
            return data
        expander = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            expanded = expander.decompress(data, member.size + 1)
        except zlib.error as cause:
            raise self._bad(f"{member.name} cannot be expanded ({cause})") from None
        if len(expanded) != member.size or not expander.eof:
            raise self._bad(f"{member.name} does not expand to the {member.size} bytes that it should have")
        whole = memoryview(expanded)
        self._check_sum(member, whole)
        return whole

    def _bytes_of(self, member: Member) -> memoryview:
        return memoryview(self._memory)[member.begin : member.begin + member.stored]

    def _check_sum(self, member: Member, data: memoryview) -> None:
        found = 0
        for begin in range(0, len(data), CHUNK):
            found = zlib.crc32(data[begin : begin + CHUNK], found)
        if found != member.checksum:
            raise self._bad(f"{member.name} is damaged: expected the checksum {member.checksum:08x}, got {found:08x}")

    def _npy_fields(self, name: str, data: memoryview) -> tuple[int, str, int]:
        """Return where the numbers begin, their type, and how many there are."""
        start = bytes(data[: 12 + LONGEST_NPY_HEADER])
        width = {b"\1\0": 2, b"\2\0": 4}.get(start[6:8])
        if not start.startswith(NPY_MAGIC) or width is None:
            raise self._bad(f"{name} does not begin like an array")
        begin = 8 + width + int.from_bytes(start[8 : 8 + width], "little")
        match = NPY_HEADER.fullmatch(start[8 + width : begin])
        if match is None or begin > len(start):
            raise self._bad(f"{name} is no vector of numbers")
        try:
            return begin, np.dtype(match[1].decode()).str, int(match[2])
        except TypeError:
            raise self._bad(f"{name} has the unknown type {match[1].decode()}") from None

    def _bad(self, fault: str) -> ModelError:
        return refusal(self.path, fault)


def _mapped(path: str) -> mmap.mmap:
    """Map a file. One that is no regular file is not waited for."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise refusal(path, "expected a file, got a device or a pipe", NOT_A_MODEL)
        start = file.read(len(NPY_MAGIC))
        if not start.startswith(LOCAL):
            raise refusal(path, _foreign(start), NOT_A_MODEL)
        if status.st_size < LOCAL_FIELDS.size + END_FIELDS.size:
            raise refusal(path, f"the file is cut short: it has {status.st_size} bytes")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _foreign(start: bytes) -> str:
    if not start:
        return "the file is empty"
    if start == NPY_MAGIC:
        return "expected a saved model, got a single array (.npy)"
    return f"expected a saved model, which begins with {LOCAL!r}, got a file that begins with {start[:4]!r}"


def _checked_members(path: str, memory: memoryview) -> dict[str, Member]:
    """Return the members by name, none of which reaches beyond its place."""
    count, begin, end = _directory(path, memory)
    entries = list(_entries(path, memory, count, begin, end))
    members: dict[str, Member] = {}
    last = 0
    for offset, entry in sorted(entries, key=lambda entry: entry[0]):
        member = _member(path, memory, offset, entry, begin)
        if offset < last:
            raise refusal(path, f"{member.name} overlaps the member before it")
        if member.name in members:
            raise refusal(path, f"it holds {member.name} twice")
        members[member.name] = member
        last = member.begin + member.stored
    _check_growth(path, len(memory), list(members.values()))
    return members


def _check_growth(path: str, file_size: int, members: list[Member]) -> None:
    grown = sum(member.size for member in members if member.method == DEFLATED)
    if grown > max(MOST_GROWTH_BYTES, MOST_GROWTH * file_size):
        remedy = "if you trust it, save it once more without compression, with numpy.savez"
        raise refusal(path, f"its {file_size} bytes would expand to {grown} bytes", remedy)


def _directory(path: str, memory: memoryview) -> tuple[int, int, int]:
    """Return how many members the directory lists, where it begins and where it ends."""
    tail = max(0, len(memory) - END_FIELDS.size - IN_64_BITS_SHORT)
    place = tail + bytes(memory[tail:]).rfind(END)
    if place < tail or place + END_FIELDS.size > len(memory):
        raise refusal(path, f"the file is cut short: its {len(memory)} bytes do not end with a directory")
    _, disk, disk_begin, here, count, size, begin, comment = END_FIELDS.unpack_from(memory, place)
    if place + END_FIELDS.size + comment != len(memory):
        raise refusal(path, "the file does not end where its directory ends")
    if count == IN_64_BITS_SHORT or IN_64_BITS in (size, begin):
        disk, disk_begin, here, count, size, begin, place = _directory64(path, memory, place)
    if disk or disk_begin or here != count:
        raise refusal(path, "expected one archive, got a part of several")
    if begin + size != place:
        raise refusal(path, f"expected {begin + size} bytes up to the end of the directory, got {place}")
    if count > MOST_MEMBERS or size > MOST_DIRECTORY_BYTES:
        raise refusal(path, f"expected a saved model, got an archive of {count} members", NOT_A_MODEL)
    return count, begin, begin + size


def _directory64(path: str, memory: memoryview, place: int) -> tuple[int, int, int, int, int, int, int]:
    located = place - LOCATOR64_FIELDS.size
    if located < END64_FIELDS.size:
        raise refusal(path, "the end of its directory is damaged")
    mark, _, place64, _ = LOCATOR64_FIELDS.unpack_from(memory, located)
    if mark != LOCATOR64 or place64 != located - END64_FIELDS.size:
        raise refusal(path, "the end of its directory is damaged")
    mark, _, _, _, disk, disk_begin, here, count, size, begin = END64_FIELDS.unpack_from(memory, place64)
    if mark != END64:
        raise refusal(path, "the end of its directory is damaged")
    return disk, disk_begin, here, count, size, begin, place64


Entry = tuple[bytes, int, int, int, int, int]  # name, flags, method, checksum, stored, size


def _entries(path: str, memory: memoryview, count: int, place: int, end: int) -> Iterator[tuple[int, Entry]]:
    """Yield what the directory says: the offset of each member's own header, and the rest."""
    for _ in range(count):
        if place + CENTRAL_FIELDS.size > end or bytes(memory[place : place + 4]) != CENTRAL:
            raise refusal(path, "its directory is damaged")
        fields = CENTRAL_FIELDS.unpack_from(memory, place)
        flags, method, checksum, stored, size, named, extra, comment, disk = *fields[3:5], *fields[7:14]
        name = place + CENTRAL_FIELDS.size
        place = name + named + extra + comment
        if place > end or disk:
            raise refusal(path, "its directory is damaged")
        more = bytes(memory[name + named : name + named + extra])
        size, stored, offset = _in_full(path, more, [size, stored, fields[16]])
        yield offset, (bytes(memory[name : name + named]), flags, method, checksum, stored, size)
    if place != end:
        raise refusal(path, "its directory is damaged")


def _in_full(path: str, extra: bytes, numbers: list[int]) -> list[int]:
    """Fill in the numbers that did not fit into 32 bits, in their order."""
    if IN_64_BITS not in numbers:
        return numbers
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        place += 4
        if kind == ZIP64_EXTRA:
            wanted = numbers.count(IN_64_BITS)
            if length < 8 * wanted or place + length > len(extra):
                break
            large = iter(struct.unpack_from(f"<{wanted}Q", extra, place))
            return [next(large) if number == IN_64_BITS else number for number in numbers]
        place += length
    raise refusal(path, "its directory is damaged: a large size is missing")


def _member(path: str, memory: memoryview, offset: int, entry: Entry, end: int) -> Member:
    """Hold an entry of the directory against the header that stands before the member itself."""
    raw, flags, method, checksum, stored, size = entry
    name = _member_name(path, raw)
    begin = offset + LOCAL_FIELDS.size
    if begin > end or bytes(memory[offset : offset + 4]) != LOCAL:
        raise refusal(path, f"{name} is not where the directory says")
    fields = LOCAL_FIELDS.unpack_from(memory, offset)
    begin += fields[9] + fields[10]
    if begin + stored > end:
        raise refusal(path, f"{name} would reach to byte {begin + stored}, and the file has {end} before its directory")
    if method not in (STORED, DEFLATED) or flags & ENCRYPTED:
        remedy = "save it once more, with numpy.savez"
        raise refusal(path, f"{name} is encrypted, or compressed in a way that is not read", remedy)
    named = bytes(memory[offset + LOCAL_FIELDS.size : offset + LOCAL_FIELDS.size + fields[9]])
    same = named == raw and fields[2:4] == (flags, method)
    if not flags & SIZES_FOLLOW:
        same = same and fields[6] == checksum
        same = same and fields[7] in (stored, IN_64_BITS) and fields[8] in (size, IN_64_BITS)
    if not same or (method == STORED and stored != size):
        raise refusal(path, f"the directory and the header of {name} contradict each other")
    return Member(name, begin, stored, size, method, checksum)


def _member_name(path: str, raw: bytes) -> str:
    name = raw.decode("utf-8", "replace")
    if not re.fullmatch(r"[\w.+-]{1,100}\.npy", name, re.ASCII):
        shown = name[:40]
        raise refusal(path, f"expected a saved model, got an archive that holds {shown!r}", NOT_A_MODEL)
    return name.removesuffix(".npy")
