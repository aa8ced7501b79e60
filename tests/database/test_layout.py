"""What a row means. The rows are those that Kamailio 5.6.3 was seen to read and write."""

from __future__ import annotations

from dmqcache.database.layout import Columns, Layout, Loaded, Refused, Stored
from dmqcache.store.table.db_fields import DbFields

NOW = 1_700_000_000.0
USUAL = DbFields("htable")


def read(
    rows: list[tuple[object, ...]], fields: DbFields = USUAL, columns: Columns | None = None
) -> list[Loaded]:
    unpacker = Layout(fields, columns or Columns()).unpacker(NOW)
    return [*unpacker.take(rows[:2]), *unpacker.take(rows[2:]), *unpacker.end()]


def test_the_columns_are_kamailios_and_may_have_other_names() -> None:
    layout = Layout(USUAL, Columns())
    assert layout.read == ("key_name", "key_value", "key_type", "value_type")
    assert layout.written == (*layout.read, "expires")
    named = Columns("k", "kt", "vt", "v", "until", db_expires=True)
    assert Layout(USUAL, named).read == ("k", "v", "kt", "vt", "until")


def test_texts_and_integers() -> None:
    rows = [("s", "text", 0, 0), ("i", "42", 0, 1), ("n", "-7", 0, 1), ("e", "", 0, 0), ("t", b"\xff", 0, 0)]
    assert read(rows) == [("s", "text", 0), ("i", 42, 0), ("n", -7, 0), ("e", "", 0), ("t", "\udcff", 0)]


def test_an_array_has_a_number_for_each_value_and_one_for_all() -> None:
    rows = [("a", "x", 1, 0), ("a", "y", 1, 0), ("a", "z", 1, 0), ("b", "5", 1, 1), ("c", "plain", 0, 0)]
    assert {key: value for key, value, _ in read(rows)} == {
        "a[0]": "x",
        "a[1]": "y",
        "a[2]": "z",
        "a::size": 3,
        "b[0]": 5,
        "b::size": 1,
        "c": "plain",
    }
    assert ("b-count", 1, 0) in read(rows, columns=Columns(array_size_suffix="-count"))


def test_of_two_rows_of_one_key_the_last_counts() -> None:
    rows = [("d", str(number), 0, 0) for number in range(5)]
    assert read(rows) == [("d", "4", 0)]


def test_times_are_unix_seconds_where_they_are_asked_for() -> None:
    rows = [("s", "a", 0, 0, 0), ("f", "b", 0, 0, int(NOW) + 50), ("p", "c", 0, 0, int(NOW) - 50)]
    columns = Columns(db_expires=True)
    assert read(rows, columns=columns) == [("s", "a", 0), ("f", "b", NOW + 50)]
    unpacker = Layout(USUAL, columns).unpacker(NOW)
    unpacker.take(rows)
    assert unpacker.expired == 1 and not unpacker.refused.count


def test_columns_of_ones_own_become_one_text() -> None:
    fields = DbFields("cust", cols=("cid", "name", "num"))
    rows: list[tuple[object, ...]] = [("1", "n1", 5), ("2", None, None), (3, "a,b", 7)]
    assert read(rows, fields) == [("1", "n1,5", 0), ("2", "*,*", 0), ("3", "a,b,7", 0)]
    other = DbFields("cust", cols=("cid", "name", "num"), coldelim=";", colnull="")
    assert read(rows[1:2], other) == [("2", ";", 0)]
    assert read([("k", 5)], DbFields("two", cols=("k", "v"))) == [("k", "5", 0)]
    assert Layout(fields, Columns()).read == ("cid", "name", "num") and not Layout(fields, Columns()).writable


def test_what_is_no_cell_is_counted_and_the_first_is_named() -> None:
    unpacker = Layout(USUAL, Columns()).unpacker(NOW)
    rows = [
        ("bad", "12x", 0, 1),
        ("", "v", 0, 0),
        (None, "v", 0, 0),
        ("n", None, 0, 0),
        ("big", "9" * 19, 0, 1),
    ]
    assert unpacker.take([*rows, ("good", "v", 0, 0)]) + unpacker.end() == [("good", "v", 0)]
    assert unpacker.refused.count == 5
    assert unpacker.refused.first == "'bad': the value '12x' is no integer of 64 bits"


def pack(cells: list[Stored], any_bytes: bool = False, autoexpire: bool = True, **columns: bool) -> tuple:  # type: ignore[type-arg]
    refused = Refused()
    rows = Layout(USUAL, Columns(**columns)).pack(cells, NOW, any_bytes, autoexpire, refused)  # type: ignore[arg-type]
    return rows, refused.count


def test_cells_become_kamailios_rows() -> None:
    cells = [Stored("s", "text", None), Stored("i", 42, None), Stored("a[0]", "x", None)]
    assert pack(cells) == ([("s", "text", 0, 0, 0), ("i", "42", 0, 1, 0), ("a[0]", "x", 0, 0, 0)], 0)
    wide = Stored("K\xf6ln", "\u041c\u043e", None)
    ((key, text, *_),), _ = pack([wide], any_bytes=False)
    assert (key, text) == (wide.key, wide.value)
    assert key is not wide.key and text is not wide.value, "what a driver leaves in a text is no cell's"
    assert pack([Stored("s", "\udcff", None)], any_bytes=True) == ([(b"s", b"\xff", 0, 0, 0)], 0)


def test_what_a_database_cannot_hold_is_left_out_and_counted() -> None:
    cells = [Stored("s", "\udcff", None), Stored("a\0b", "v", None), Stored("good", "é", None)]
    assert pack(cells) == ([("good", "é", 0, 0, 0)], 2)


def test_no_time_is_stored_as_for_ever() -> None:
    timed = [Stored("k", "v", 60.0)]
    assert pack(timed, db_expires=True) == ([("k", "v", 0, 0, int(NOW) + 60)], 0)
    assert pack(timed) == ([("k", "v", 0, 0, 0)], 0), "each load gives the table's own time"
    assert pack(timed, autoexpire=False) == ([], 1)
    assert pack([Stored("k", "v", 1e12)], db_expires=True)[0][0][4] == 2**31 - 1
