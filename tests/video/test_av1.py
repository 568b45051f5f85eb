"""AV1's headers: which frames a frame refers to, read from headers written bit by bit."""

from __future__ import annotations

import pytest

from crossframe.video.av1 import AV1, DELIMITER, FRAME, FRAME_HEADER, KEY, PADDING, SEQUENCE, SWITCH
from crossframe.video.bits import Picture, Unproven

INTER = 1
TILE_LIST = 8


def unit(kind: int, bits: str, header: int = 0b10) -> bytes:
    """A unit with its size; `bits` are filled up with zeros."""
    text = bits.replace(" ", "")
    content = int(text.ljust(-len(text) % 8 + len(text), "0"), 2).to_bytes((len(text) + 7) // 8, "big") if text else b""
    return bytes([kind << 3 | header, len(content)]) + content


def sequence(order_bits: int = 0, still: int = 0, layers: int = 0, ids: int = 0, timing: str = "0") -> bytes:
    order = "1 00" if order_bits else "0"
    size = f"{order_bits - 1:03b}" if order_bits else ""
    return unit(
        SEQUENCE, f"000 {still}0 {timing} 0 00000 {layers:012b} 01000 1 0000 0000 0 0 {ids} 0000000 {order} 00 {size}"
    )


def frame(
    kind: int = INTER, shown: int = 1, refreshes: int = 0, reads: str = "0000000", order: str = "", short: str = ""
) -> bytes:
    """A coded frame of a sequence without screen content; it names the slots `reads`."""
    takes_all = kind == SWITCH or (kind == KEY and shown)
    resilient = "" if takes_all else "0"
    size = "" if kind == SWITCH else "0"
    start = f"0 {kind:02b} {shown} {'' if shown else '1'} {resilient} 0 {size} {order}"
    if kind != INTER:
        return unit(FRAME, start + ("" if takes_all else f"{refreshes:08b}") + "1" * 200)
    return unit(
        FRAME, f"{start} 000 {refreshes:08b} {short} {''.join(f'{int(slot):03b}' for slot in reads)}" + "1" * 99
    )


def again(slot: int) -> bytes:
    return unit(FRAME_HEADER, f"1 {slot:03b} 1")


def read(*packets: bytes) -> list[Picture]:
    headers = AV1(b"")
    return [headers.picture(memoryview(packet)) for packet in packets]


def frames(*packets: bytes) -> list[Picture]:
    return [frame for picture in read(*packets) for frame in (*picture.hidden, picture)]


def sources(*packets: bytes) -> list[set[int]]:
    """What each frame refers to, by number."""
    return [set(frame.sources or ()) for frame in frames(*packets)]


BEGINNING = sequence() + frame(KEY)


def test_a_pyramid_is_read_from_the_slots_that_its_frames_name() -> None:
    found = sources(
        BEGINNING,
        frame(shown=0, refreshes=0b10) + frame(shown=0, refreshes=0b100, reads="0000001") + frame(reads="0000002"),
        frame(refreshes=0b1000, reads="1111111"),
        again(1),
        frame(refreshes=0b10, reads="3333300"),
        frame(reads="1112000"),
    )
    assert found == [set(), {0}, {0, 1}, {0, 2}, {0, 1}, {0, 1}, {0, 4}, {0, 2, 6}]


def test_pieces_are_the_frames_of_a_packet_that_has_several() -> None:
    delimiter, hidden, padding = unit(DELIMITER, ""), frame(shown=0, refreshes=255), unit(PADDING, "1")
    several = delimiter + hidden + hidden + again(3) + padding
    alone, *parts = frames(BEGINNING, several)
    assert alone.piece is None
    assert [several[part.piece.start : part.piece.stop] for part in parts if part.piece] == [
        delimiter + hidden,
        hidden,
        again(3),
    ]
    assert [picture.piece for picture in read(BEGINNING, delimiter + frame() + padding)] == [None, None]


def test_a_key_frame_shown_again_takes_all_slots() -> None:
    hidden = frame(KEY, shown=0, refreshes=0b1000)
    found = sources(BEGINNING, hidden + frame(), again(3), frame(reads="0123456"))
    assert found == [set(), {0}, {0}, {0, 1}, {0, 3}]


def test_a_frame_shown_again_that_is_no_key_frame_takes_none() -> None:
    hidden = frame(shown=0, refreshes=0b1000)
    found = sources(BEGINNING, hidden + frame(), again(3), frame(reads="0123456"))
    assert found == [set(), {0}, {0}, {0, 1}, {0, 1}]


def test_a_sequence_header_is_a_source_until_it_is_repeated() -> None:
    intra_only = frame(2, refreshes=0b1)
    assert sources(BEGINNING, intra_only, frame(), sequence() + intra_only, frame()) == [set(), {0}, {0, 1}, set(), {3}]


def test_references_found_by_their_order_may_be_any() -> None:
    found = sources(
        sequence(order_bits=3) + frame(KEY, order="000"),
        frame(refreshes=0b1000_0000, order="001", short="0"),
        frame(order="010", short="1", reads="00"),
        frame(order="011", short="0"),
    )
    assert found == [set(), {0}, {0, 1}, {0}]


def test_a_switch_takes_all_slots_and_reads_those_that_it_names() -> None:
    switch = unit(FRAME, "0 11 1 0" + "000" * 7)
    assert sources(BEGINNING, frame(refreshes=1), frame(refreshes=2), switch, frame(reads="7777777")) == [
        set(),
        {0},
        {0, 1},
        {0, 1},
        {0, 3},
    ]


def test_units_of_time_are_passed_over() -> None:
    timing = "1" + "01" * 32 + "1 00101 0"  # with a number of ticks
    assert sources(sequence(timing=timing) + frame(KEY), frame()) == [set(), {0}]


@pytest.mark.parametrize(
    ("packets", "reason"),
    [
        ([frame(KEY)], "without parameters"),
        ([sequence() + frame()], "reference is missing"),
        ([sequence() + again(0)], "reference is missing"),
        ([BEGINNING, frame() + frame()], "goes on"),
        ([BEGINNING, frame() + again(0)], "goes on"),
        ([BEGINNING, frame() + frame(shown=0)], "goes on"),
        ([BEGINNING, frame() + sequence()], "goes on"),
        ([BEGINNING, frame(shown=0)], "shows no frame"),
        ([BEGINNING, unit(DELIMITER, "")], "shows no frame"),
        ([BEGINNING, sequence(order_bits=3) + frame(KEY, order="000")], "parameters change"),
        ([BEGINNING, unit(FRAME_HEADER, "0 01 1 0")], "several units"),
        ([BEGINNING, unit(FRAME, "1 000 1")], "several units"),
        ([BEGINNING, unit(TILE_LIST, "0")], "unit of type 8"),
        ([BEGINNING, unit(FRAME, "0", header=0b110)], "unit of a layer"),
        ([BEGINNING, unit(FRAME, "0", header=0b000)], "without its size"),
        ([BEGINNING, frame()[:-1]], "cut off"),
        ([BEGINNING, frame()[:1] + b"\x80"], "cut off"),
        ([BEGINNING, frame()[:1] + b"\x80" * 9], "cut off"),
        ([BEGINNING, unit(FRAME, "0 01 1 0")], "too early"),
        ([sequence(still=1)], "still picture"),
        ([sequence(layers=0x103)], "layers"),
        ([sequence(ids=1)], "numbered frames"),
        ([sequence(timing="1" + "01" * 32 + "0 1")], "model of the decoder"),
    ],
)
def test_what_is_not_plain_is_unproven(packets: list[bytes], reason: str) -> None:
    with pytest.raises(Unproven, match=reason):
        read(*packets)
