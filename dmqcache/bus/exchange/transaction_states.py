"""The states of a request of ours, and what happens in each: RFC 3261's figure 6, as a table.

Owns no time and no message: ``transaction.py`` says what has happened, and does what the table says.

The RFC keeps a completed transaction for timer K (5 s) only to swallow further copies of the reply. Here a
copy finds no transaction and is dropped with the reason ``late_reply``: the same, without the memory. Who
sends and wants to know that one came is told by ``late_answers.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto


class State(Enum):
    TRYING = auto()
    PROCEEDING = auto()
    TERMINATED = auto()


class Event(Enum):
    TIMER_E = auto()
    TIMER_F = auto()
    PROVISIONAL = auto()
    FINAL = auto()
    TRANSPORT_ERROR = auto()
    CANCEL = auto()


class Action(Enum):
    NOTHING = auto()
    RETRANSMIT = auto()
    DELIVER = auto()
    TIMED_OUT = auto()
    UNDELIVERABLE = auto()


#: RFC 3261 figure 6. "Completed" is left out (see the module's docstring); CANCEL is ours: the caller lost
#: interest. What is not in the table cannot happen: a terminated transaction is not found any more.
TABLE: Mapping[tuple[State, Event], tuple[State, Action]] = {
    # "If timer E fires while still in Trying, the request is passed to the transport layer"
    (State.TRYING, Event.TIMER_E): (State.TRYING, Action.RETRANSMIT),
    # "If Timer F fires while still in Trying, inform the TU about the timeout, enter Terminated"
    (State.TRYING, Event.TIMER_F): (State.TERMINATED, Action.TIMED_OUT),
    # "If a provisional response is received while in Trying, move to Proceeding"
    (State.TRYING, Event.PROVISIONAL): (State.PROCEEDING, Action.NOTHING),
    # "If a final response (200-699) is received, pass it to the TU" (and Completed ends at once)
    (State.TRYING, Event.FINAL): (State.TERMINATED, Action.DELIVER),
    (State.TRYING, Event.TRANSPORT_ERROR): (State.TERMINATED, Action.UNDELIVERABLE),
    (State.TRYING, Event.CANCEL): (State.TERMINATED, Action.NOTHING),
    # "If Timer E fires while in Proceeding, retransmit, and reset Timer E to T2"
    (State.PROCEEDING, Event.TIMER_E): (State.PROCEEDING, Action.RETRANSMIT),
    (State.PROCEEDING, Event.TIMER_F): (State.TERMINATED, Action.TIMED_OUT),
    (State.PROCEEDING, Event.PROVISIONAL): (State.PROCEEDING, Action.NOTHING),
    (State.PROCEEDING, Event.FINAL): (State.TERMINATED, Action.DELIVER),
    (State.PROCEEDING, Event.TRANSPORT_ERROR): (State.TERMINATED, Action.UNDELIVERABLE),
    (State.PROCEEDING, Event.CANCEL): (State.TERMINATED, Action.NOTHING),
}
