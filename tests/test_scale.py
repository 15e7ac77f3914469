"""The benchmark of very large jobs, on a small one."""

from dataclasses import replace

import pytest

from benchmarks.scale import Figures, counted

GOOD = Figures(
    tiles=1, plan_seconds=1, send_seconds=1, resume_seconds=1, megabytes=1, lost=0, sent_twice=0, requests={}
)


def test_a_job_whose_sender_dies_twice_loses_nothing_and_sends_no_more_than_a_chunk_twice():
    figures = counted(2_500)

    assert figures.lost == 0
    assert 0 < figures.sent_twice <= 3_000
    assert figures.requests["SendMessageBatch"] >= 750
    assert figures.requests["PutItem"] >= 7_500


@pytest.mark.parametrize("fault", [{"lost": 1}, {"sent_twice": 3_001}, {"megabytes": 700}])
def test_a_broken_invariant_is_noticed(fault):
    assert GOOD.holds
    assert not replace(GOOD, **fault).holds
