"""The table of RFC 3261's non-INVITE client transaction."""

from __future__ import annotations

from dmqcache.bus.exchange.transaction_states import TABLE, Action, Event, State


def test_the_table_says_what_happens_in_every_living_state() -> None:
    living = (State.TRYING, State.PROCEEDING)
    assert set(TABLE) == {(state, event) for state in living for event in Event}


def test_what_ends_a_transaction_is_told_once_and_nothing_else_is() -> None:
    told = {Action.DELIVER, Action.TIMED_OUT, Action.UNDELIVERABLE}
    ended = {(event, action) for (_, event), (state, action) in TABLE.items() if state is State.TERMINATED}
    assert ended == {
        (Event.FINAL, Action.DELIVER),
        (Event.TIMER_F, Action.TIMED_OUT),
        (Event.TRANSPORT_ERROR, Action.UNDELIVERABLE),
        (Event.CANCEL, Action.NOTHING),
    }
    assert not any(action in told for state, action in TABLE.values() if state is not State.TERMINATED)
