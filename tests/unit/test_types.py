"""Domain types: stage times of what is done one after the other, and side by side."""

from __future__ import annotations

from interplay.types import StageTimings


def test_steps_add_up() -> None:
    timings = StageTimings(queue_s=1, infer_s=2, batch_size=3, batch_id=4)
    timings.add(StageTimings(queue_s=0.5, decode_s=0.25, infer_s=1, batch_size=2))
    assert timings == StageTimings(queue_s=1.5, decode_s=0.25, infer_s=3, batch_size=3, batch_id=4)
    timings.add(StageTimings(batch_id=9))
    assert timings.batch_id == 9


def test_side_by_side_a_batch_counts_once() -> None:
    parts = [
        StageTimings(queue_s=1, decode_s=0.5, infer_s=2, batch_size=2, batch_id=1),
        StageTimings(queue_s=3, decode_s=0.5, infer_s=2, batch_size=2, batch_id=1),
        StageTimings(queue_s=2, infer_s=5, preprocess_s=1, batch_size=1, batch_id=2),
        StageTimings(),
    ]
    together = StageTimings.together(parts)
    assert together == StageTimings(queue_s=3, decode_s=1.0, preprocess_s=1, infer_s=7, batch_size=2)
    assert StageTimings.together([]) == StageTimings()
