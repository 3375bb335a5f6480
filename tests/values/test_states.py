from __future__ import annotations

import re

from aioq.values import states
from aioq.values.states import BORN, FINAL, STATES, JobStatus, allows, diagram

#: Final states in which nothing more can happen but the end of the retention.
CLOSED = {JobStatus.FINISHED}


NEXT = {state: row.verbs for state, row in STATES.items()}


def test_the_table_has_a_row_for_every_state() -> None:
    assert list(STATES) == list(JobStatus)


def test_every_state_can_be_reached_from_an_enqueue() -> None:
    reached = set(BORN)

    while more := {to for state in reached for targets in NEXT[state].values() for to in targets} - reached:
        reached |= more

    assert reached == set(JobStatus)


def test_a_final_state_can_be_reached_from_every_state() -> None:
    for state in JobStatus:
        seen, edge = {state}, {state}

        while edge:
            edge = {to for each in edge for targets in NEXT[each].values() for to in targets} - seen
            seen |= edge

        assert seen & FINAL


def test_the_final_states_are_those_that_only_a_requeue_or_a_cancel_leaves() -> None:
    leaves_by_itself = {state for state in JobStatus if set(NEXT[state]) - {"requeue", "cancel", "defer"}}

    assert {state for state in JobStatus if state.is_final} == FINAL == set(JobStatus) - leaves_by_itself


def test_a_requeue_leads_from_every_final_state_but_finished() -> None:
    assert {state for state in JobStatus if allows(state, "requeue")} == FINAL - CLOSED


def test_the_table_says_what_it_allows() -> None:
    for state, verbs in NEXT.items():
        for verb in {verb for row in NEXT.values() for verb in row}:
            assert allows(state, verb) is (verb in verbs)


def test_the_diagram_has_every_arrow_and_no_other() -> None:
    drawn = {
        (match[1], match[2], match[3]) for match in re.finditer(r"^    (\S+) --> (\S+): (.+)$", diagram(), re.M)
    }
    arrows = {("[*]", state.value, "enqueue") for state in BORN}
    arrows |= {(state.value, "[*]", "retention over") for state in FINAL}
    arrows |= {
        (state.value, to.value, verb)
        for state, verbs in NEXT.items()
        for verb, targets in verbs.items()
        for to in targets
    }

    assert drawn == arrows
    assert diagram().startswith("stateDiagram-v2\n")
    assert len(diagram().splitlines()) == 1 + len(arrows)


def test_the_module_says_what_each_state_means() -> None:
    described = set(re.findall(r"^(\w+) {2,}\S", states.__doc__ or "", re.MULTILINE))

    assert described == {state.value for state in JobStatus}
