"""The image header of a JPEG XL codestream: how it is turned, its bits, its colours; bits are copied between files.

libjxl's Python binding encodes pixels and nothing else. The header of what it wrote is therefore replaced, bit by bit,
by one with the input's orientation, colour encoding and brightness. Frames begin at a whole byte and do not know the
header's length. Format: ISO/IEC 18181-1:2024, annex D and E.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hush.core.errors import FormatError

ALPHA_CHANNEL, GREY_SPACE, XYB_SPACE, CUSTOM_CODE = 0, 1, 2, 2
DISTRIBUTIONS = {  # of U32: bits and what is added, for each of four selectors
    "size": ((9, 1), (13, 1), (18, 1), (30, 1)),
    "bits": ((0, 8), (0, 10), (0, 12), (6, 1)),
    "float bits": ((0, 32), (0, 16), (0, 24), (6, 1)),
    "channels": ((0, 0), (0, 1), (4, 2), (12, 1)),
    "enum": ((0, 0), (0, 1), (4, 2), (6, 18)),
    "shift": ((0, 0), (0, 3), (0, 4), (3, 1)),
    "name": ((0, 0), (4, 0), (5, 16), (10, 48)),
    "cfa": ((0, 1), (2, 0), (4, 3), (8, 19)),
    "xy": ((19, 0), (19, 524288), (20, 1048576), (21, 2097152)),
    "numerator": ((0, 100), (0, 1000), (10, 1), (30, 1)),
    "denominator": ((0, 1), (0, 1001), (8, 1), (10, 1)),
    "loops": ((0, 0), (3, 0), (16, 0), (32, 0)),
    "preview": ((0, 16), (0, 32), (5, 1), (9, 33)),
    "preview side": ((6, 1), (8, 65), (10, 321), (12, 1345)),
}


@dataclass
class Bits:
    """Bits of bytes, each byte's lowest first, read one after the other."""

    raw: bytes
    at: int = 0

    def take(self, count: int) -> int:
        """Return the next bits as a number."""
        if self.at + count > 8 * len(self.raw):
            raise FormatError(f"it is cut short: it ends at byte {len(self.raw)} in its header")
        first = self.at // 8
        number = int.from_bytes(self.raw[first : (self.at + count + 7) // 8], "little") >> self.at % 8
        self.at += count
        return number & ((1 << count) - 1)

    def one_of(self, name: str) -> int:
        """Return a number that two bits say the length of."""
        count, base = DISTRIBUTIONS[name][self.take(2)]
        return base + self.take(count)

    def between(self, start: int, end: int) -> str:
        """Return bits as a text of 0 and 1, in their order."""
        number = int.from_bytes(self.raw[start // 8 : (end + 7) // 8], "little") >> start % 8
        return f"{number & ((1 << (end - start)) - 1):0{end - start}b}"[::-1] if end > start else ""


@dataclass
class Header:
    """What is known of a codestream, and its pieces as texts of bits."""

    size: tuple[int, int] = (0, 0)
    orientation: int = 1
    bits: int = 8
    is_float: bool = False
    extra: list[int] = field(default_factory=list)  # kinds of the channels that are no colours
    has_profile: bool = False
    is_grey: bool = False
    loses: bool = True
    before: str = ""  # signature and size
    intrinsic: str = "0"
    others: str = "00"  # preview and animation
    depths: str = ""  # of samples and channels
    colours: str = "1"
    tone: str = "1"
    rest: str = ""
    end: int = 0  # byte at which the frames, or the colour profile, begin


def parse(raw: bytes) -> Header:
    """Return the header of a codestream.

    Raises
    ------
    FormatError
        When it is none, or ends.
    """
    if raw[:2] != b"\xff\x0a":
        raise FormatError("it is damaged: its pixels are not JPEG XL")
    found, bits = Header(), Bits(raw, 16)
    found.size = _size(bits)
    found.before = bits.between(0, bits.at)
    if not bits.take(1):
        _metadata(found, bits)
    start = bits.at
    if not bits.take(1):  # transforms of its own
        raise FormatError("its colour transform is its own, which is not read")
    found.rest += bits.between(start, bits.at)
    found.end = (bits.at + 7) // 8
    return found


def joined(new: bytes, old: Header) -> bytes:
    """Return the codestream `new` with what another header says of orientation, colours and brightness."""
    made = parse(new)
    if made.has_profile or made.others[0] == "1":
        return new
    turned = old.orientation != 1 or old.intrinsic != "0" or old.tone != "1" or made.others != "00"
    bits = made.before + "0" + str(int(turned))
    if turned:
        bits += f"{old.orientation - 1:03b}"[::-1] + old.intrinsic + made.others
    bits += made.depths + old.colours + (old.tone if turned else "") + made.rest
    bits += "0" * (-len(bits) % 8)
    head = bytes(int(bits[place : place + 8][::-1], 2) for place in range(0, len(bits), 8))
    return head + new[made.end :]


def _size(bits: Bits) -> tuple[int, int]:
    """Return width and height."""
    small = bits.take(1)
    height = (bits.take(5) + 1) * 8 if small else bits.one_of("size")
    ratio = bits.take(3)
    if ratio == 0:
        return ((bits.take(5) + 1) * 8 if small else bits.one_of("size")), height
    above, below = [(1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1)][ratio - 1]
    return height * above // below, height


def _metadata(found: Header, bits: Bits) -> None:
    """Read what stands between the size and the transforms."""
    more = bits.take(1)
    if more:
        found.orientation = bits.take(3) + 1
        start = bits.at
        if bits.take(1):
            _size(bits)
        found.intrinsic = bits.between(start, bits.at)
        start = bits.at
        if bits.take(1):
            _preview(bits)
        if bits.take(1):
            _animation(bits)
        found.others = bits.between(start, bits.at)
    start = bits.at
    found.is_float, found.bits = _depth(bits)
    bits.take(1)  # whether 16 bits suffice for its coefficients
    found.extra = [_channel(bits) for _ in range(bits.one_of("channels"))]
    found.loses = bool(bits.take(1))
    found.depths = bits.between(start, bits.at)
    start = bits.at
    _colours(found, bits)
    found.colours = bits.between(start, bits.at)
    if more:
        start = bits.at
        if not bits.take(1):
            bits.take(16 + 16 + 1 + 16)
        found.tone = bits.between(start, bits.at)
    start = bits.at
    if bits.take(2):
        raise FormatError("its header has extensions, which are not read")
    found.rest = bits.between(start, bits.at)


def _preview(bits: Bits) -> None:
    by_eight = bits.take(1)
    bits.one_of("preview" if by_eight else "preview side")
    if bits.take(3) == 0:
        bits.one_of("preview" if by_eight else "preview side")


def _animation(bits: Bits) -> None:
    for name in ("numerator", "denominator", "loops"):
        bits.one_of(name)
    bits.take(1)


def _depth(bits: Bits) -> tuple[bool, int]:
    if bits.take(1):
        count = bits.one_of("float bits")
        bits.take(4)
        return True, count
    return False, bits.one_of("bits")


def _channel(bits: Bits) -> int:
    """Return the kind of a channel that is no colour."""
    if bits.take(1):
        return ALPHA_CHANNEL
    kind = bits.one_of("enum")
    _depth(bits)
    bits.one_of("shift")
    bits.take(8 * bits.one_of("name"))
    if kind == ALPHA_CHANNEL:
        bits.take(1)
    elif kind == 2:  # spot colour: red, green, blue, solidity
        bits.take(64)
    elif kind == 5:
        bits.one_of("cfa")
    return kind


def _colours(found: Header, bits: Bits) -> None:
    if bits.take(1):
        return
    found.has_profile = bool(bits.take(1))
    space = bits.one_of("enum")
    found.is_grey = space == GREY_SPACE
    if found.has_profile:
        return
    if space != XYB_SPACE:
        if bits.one_of("enum") == CUSTOM_CODE:  # white point
            _ = bits.one_of("xy"), bits.one_of("xy")
        if space != GREY_SPACE and bits.one_of("enum") == CUSTOM_CODE:  # primaries
            _ = [bits.one_of("xy") for _ in range(6)]
        if bits.take(1):
            bits.take(24)
        else:
            bits.one_of("enum")
    bits.one_of("enum")  # rendering intent
