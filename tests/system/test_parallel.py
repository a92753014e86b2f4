from __future__ import annotations

import threading

import cv2
import pytest

from edgeseg.system.parallel import ordered_map


def test_results_come_in_order_from_several_threads_and_few_are_in_flight() -> None:
    third = threading.Event()

    def first_waits_for_the_third(i: int) -> int:
        if i == 2:
            third.set()
        if i == 0:
            assert third.wait(30)
        return i * i

    items = iter(range(50))
    results = ordered_map(first_waits_for_the_third, items, 4)
    assert next(results) == 0
    assert next(items) < 20
    assert list(results)[:11] == [i * i for i in range(1, 12)]


def test_an_error_comes_out_and_opencv_is_as_before_when_the_last_of_two_ends() -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        with pytest.raises(ZeroDivisionError):
            list(ordered_map(lambda i: 1 // i, range(3, -100, -1), 2))
        assert cv2.getNumThreads() == 3
        first, second = (ordered_map(abs, range(20), 2) for _ in range(2))
        next(first), next(second)
        assert len(list(first)) == 19
        assert cv2.getNumThreads() == 1
        assert len(list(second)) == 19
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)
