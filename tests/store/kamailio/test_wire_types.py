"""What can be said on the ``htable`` channel, as values."""

from __future__ import annotations

import msgspec
import pytest

from dmqcache.store.kamailio.wire_types import (
    MAX_INTEGER,
    REMOVAL_MODES,
    REMOVALS,
    ActionNumber,
    Cell,
    NumberCell,
    Reason,
    TextCell,
    WireError,
)


def test_every_removal_has_a_kind_and_every_mode_a_meaning() -> None:
    assert set(REMOVALS) == {number for number in ActionNumber if number.name.startswith("REMOVE_")}
    assert set(REMOVAL_MODES) == {0, 1}


def test_an_error_names_its_reason_for_the_counters() -> None:
    error = WireError(Reason.WRONG_TYPE, "cname")
    assert (error.reason, str(error)) == ("wrong_type", "wrong_type: cname")
    assert str(WireError(Reason.EMPTY_BODY)) == "empty_body"


def test_a_cell_is_a_text_or_a_number_by_its_type_and_numbers_fit_64_bits() -> None:
    head = b'{"htname":"t","cname":"k","expire":0,"type":'
    assert msgspec.json.decode(head + b'2,"strval":"v"}', type=Cell) == TextCell("t", "k", "v", 0)
    assert msgspec.json.decode(head + b'0,"intval":5}', type=Cell) == NumberCell("t", "k", 5, 0)
    for wrong in (b'2,"intval":5}', b'1,"strval":"v"}', b'0,"intval":%d}' % (MAX_INTEGER + 1)):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(head + wrong, type=Cell)
