from __future__ import annotations

import itertools

import pytest

from interplay.jobs.states import FINAL_STATES, TRANSITIONS, JobState, sources_of


def test_every_state_has_a_row() -> None:
    assert set(TRANSITIONS) == set(JobState)


def test_final_states_only_expire() -> None:
    for state in FINAL_STATES:
        assert TRANSITIONS[state] <= {JobState.EXPIRED}
        assert state.is_final


@pytest.mark.parametrize("source, target", list(itertools.product(JobState, JobState)))
def test_sources_are_the_inverse_of_transitions(source: JobState, target: JobState) -> None:
    assert (source.value in sources_of(target)) == (target in TRANSITIONS[source])


def test_every_job_can_come_to_an_end() -> None:
    reachable = {JobState.QUEUED}
    while more := {t for s in reachable for t in TRANSITIONS[s]} - reachable:
        reachable |= more
    assert reachable == set(JobState)
    for state in set(JobState) - FINAL_STATES:
        assert TRANSITIONS[state] & FINAL_STATES
