"""Which messages a batch becomes, and in which order a Kamailio gets them."""

from __future__ import annotations

from dmqcache.bus.peer import Reply
from dmqcache.store.kamailio.rounds import FEW
from tests.store.harness import Sent, set_body, with_kamailio

#: Values that go together.
MANY = FEW + 8


def test_a_time_of_its_own_follows_the_sets_200() -> None:
    world, side, kamailio = with_kamailio("t=>autoexpire=3600")
    side.table.set("a", "x", 20)
    world.run(0.0015)
    assert [body["action"] for body in kamailio.seen()] == [2]
    world.run(1)
    assert [body["action"] for body in kamailio.seen()] == [2, 3]
    assert kamailio.seen()[1]["intval"] == 20
    kamailio.got.clear()
    side.table.set("b", "x", 0)
    side.table["c"] = "the table's own"
    world.run(1)
    assert [(body["cname"], body["intval"]) for body in kamailio.seen() if body.get("action") == 3] == [
        ("b", 0)
    ]


def test_of_a_table_that_it_is_not_known_to_have_one_key_goes_alone_and_first() -> None:
    world, side, kamailio = with_kamailio()
    for number in range(MANY):
        side.table[f"k{number}"] = "x"
    world.run(0.0015)
    assert [body.get("cname") for body in kamailio.seen()] == ["k0"]
    world.run(1)
    assert [len(body["cells"]) for body in kamailio.seen()[1:]] == [MANY - 1]


def test_of_a_table_that_it_has_all_go_at_once() -> None:
    world, side, kamailio = with_kamailio()
    assert kamailio.say(side, set_body("proof", "x")).status == 200
    for number in range(MANY):
        side.table[f"k{number}"] = "x"
    world.run(0.0015)
    assert [len(body["cells"]) for body in kamailio.seen()] == [MANY]


def test_few_values_go_one_by_one_at_once() -> None:
    """A Kamailio takes the cells of a batch without a lock: two of its workers may add a key twice."""
    world, side, kamailio = with_kamailio()
    assert kamailio.say(side, set_body("proof", "x")).status == 200
    for number in range(FEW):
        side.table[f"k{number}"] = "x"
    world.run(0.0015)
    assert [(body["action"], body["mode"]) for body in kamailio.seen()] == [(2, 1)] * FEW


def test_one_of_two_that_it_has_of_a_key_is_deleted_before_the_value_is_told() -> None:
    world, side, kamailio = with_kamailio()
    side.table["a"] = side.table["b"] = "x"
    world.run(1)
    kamailio.got.clear()
    side.store.compare._inquirer._doubles.note(kamailio.uri, [("t", "a")])
    side.table["a"] = side.table["b"] = "y"
    world.run(0.0015)
    assert [(body["action"], body["cname"]) for body in kamailio.seen()] == [(4, "a")]
    world.run(1)
    assert {(body["action"], body["cname"]) for body in kamailio.seen()[1:]} == {(2, "a"), (2, "b")}
    kamailio.got.clear()
    side.table["a"] = "z"
    world.run(1)
    assert [(body["action"], body["cname"]) for body in kamailio.seen()] == [(2, "a")]


def test_a_key_that_was_not_answered_gets_its_time_too_when_it_is() -> None:
    world, side, kamailio = with_kamailio("t=>autoexpire=3600")
    assert kamailio.say(side, set_body("proof", "x")).status == 200

    def answer(sent: Sent) -> Reply | None:
        return None

    kamailio.answer = answer
    side.table.set("a", "x", 500)
    world.run(17)
    kamailio.answer = lambda sent: Reply(200)
    kamailio.got.clear()
    world.run(3)
    assert [(body["action"], body["cname"]) for body in kamailio.seen()] == [(2, "a"), (3, "a")]
