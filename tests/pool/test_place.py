"""A place of a pool, step by step, with processes that only say what a test lets them say."""

from __future__ import annotations

import pytest

from aioq.pool import place as module
from aioq.pool.place import Place


class Process:
    """What a place sees of a process."""

    def __init__(self, max_jobs: int | None) -> None:
        self.max_jobs = max_jobs
        self.serves = self.has_ended = self.ended_well = self.is_full = self.is_refused = False
        self.serves_since: float | None = None
        self.claimed: int | None = None
        self.stops: list[int] = []
        self.end = "has ended"
        self.pid = 1

    def serve(self) -> None:
        self.serves, self.serves_since = True, module.time.monotonic()

    def stop(self, level: int) -> None:
        self.stops.append(level)

    def die(self, *, claimed: int | None = None) -> None:
        self.serves, self.has_ended, self.ended_well, self.claimed = False, True, claimed is not None, claimed


class Scene:
    """A place, its processes, and a clock that the test moves."""

    def __init__(self, *, ends: bool = False, max_jobs: int | None = None) -> None:
        self.now = 1000.0
        self.started: list[Process] = []
        self.refuses = False
        self.place = Place(1, self.start, max_jobs, max_jobs, ends=ends)

    def monotonic(self) -> float:
        return self.now

    def start(self, number: int, max_jobs: int | None) -> Process | None:
        if self.refuses:
            return None

        self.started.append(Process(max_jobs))

        return self.started[-1]

    def step(self, seconds: float = 0.0, *, may_start: bool = True) -> None:
        self.now += seconds
        self.place.step(may_start=may_start)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> type[Scene]:
    scenes: list[Scene] = []

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return scenes[-1].now

    class Kept(Scene):
        def __init__(self, **options: object) -> None:
            scenes.append(self)
            super().__init__(**options)

    monkeypatch.setattr(module, "time", Clock)

    return Kept


def test_a_process_that_has_served_long_is_started_again_at_once(make: type[Scene]) -> None:
    scene = make()
    scene.step()
    scene.started[0].serve()
    scene.step(60)
    scene.started[0].die()
    scene.step()
    assert len(scene.started) == 2


def test_pauses_grow_while_processes_fail_in_a_row(make: type[Scene]) -> None:
    scene = make()
    scene.step()
    pauses = []

    for _ in range(9):
        scene.started[-1].die()
        scene.step()
        count, begun = len(scene.started), scene.now

        if scene.place.process is None:
            assert scene.place.waits_until is not None
            scene.step(scene.place.waits_until - scene.now)
            assert len(scene.started) == count + 1

        pauses.append(scene.now - begun)

    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]

    scene.started[-1].serve()
    scene.step(11)
    scene.started[-1].die()
    scene.step()
    assert scene.place.process is scene.started[-1]
    assert not scene.started[-1].has_ended


def test_the_first_failure_of_a_process_that_served_costs_no_pause(make: type[Scene]) -> None:
    scene = make()
    scene.step()

    for pause in (0, 0.5, 1):
        scene.started[-1].serve()
        scene.step(1)
        scene.started[-1].die()
        scene.step()
        assert (scene.place.waits_until or scene.now) - scene.now == pause
        scene.step(pause)
        assert not scene.started[-1].has_ended


def test_a_system_that_allows_no_process_is_asked_again_after_a_pause(make: type[Scene]) -> None:
    scene = make()
    scene.refuses = True
    scene.step()
    scene.step()
    assert scene.place.process is None
    scene.refuses = False
    scene.step(1)
    assert len(scene.started) == 1


def test_a_successor_serves_before_the_old_process_stops(make: type[Scene]) -> None:
    scene = make()
    scene.step()
    (old,) = scene.started
    old.serve()
    scene.place.replace("a test")
    scene.step()
    new = scene.started[1]
    assert (scene.place.process, old.stops, scene.place.is_changing) == (old, [], True)
    new.serve()
    scene.step()
    assert (scene.place.process, old.stops, scene.place.is_changing) == (new, [1], True)
    scene.place.replace("again")
    scene.step()
    assert len(scene.started) == 2, "one process that ends is enough"
    old.die(claimed=5)
    scene.step()
    assert len(scene.started) == 3
    assert scene.place.claimed == 5


def test_a_successor_that_cannot_begin_leaves_the_old_process(make: type[Scene]) -> None:
    scene = make()
    scene.step()
    (old,) = scene.started
    old.serve()
    scene.place.replace("a test")
    scene.step()
    scene.started[1].die()
    scene.step()
    assert (scene.place.process, old.stops, scene.place.is_changing) == (old, [], False)
    assert scene.place.has_failed_to_replace


def test_a_process_that_dies_while_its_successor_starts_leaves_it_the_place(make: type[Scene]) -> None:
    scene = make()
    scene.step()
    old = scene.started[0]
    old.serve()
    scene.place.replace("a test")
    scene.step()
    old.die()
    scene.step()
    assert scene.place.process is scene.started[1]
    assert (len(scene.started), scene.place.is_changing) == (2, False)


def test_both_may_die_at_once(make: type[Scene]) -> None:
    scene = make()
    scene.step()
    scene.started[0].serve()
    scene.place.replace("a test")
    scene.step()
    scene.started[0].die()
    scene.started[1].die()
    scene.step(5)
    scene.step(5)
    assert len(scene.started) == 3
    assert scene.place.process is scene.started[2]


def test_a_full_process_is_not_told_to_stop(make: type[Scene]) -> None:
    scene = make(max_jobs=3)
    scene.step()
    old = scene.started[0]
    old.serve()
    old.is_full = True
    scene.step()
    scene.started[1].serve()
    scene.step()
    assert (scene.place.process, old.stops) == (scene.started[1], [])


def test_the_work_of_a_place_is_done_when_its_process_has_ended_by_itself(make: type[Scene]) -> None:
    scene = make(ends=True, max_jobs=3)
    scene.step()
    scene.started[0].serve()
    scene.started[0].die(claimed=3)
    scene.step()
    assert not scene.place.is_finished, "it has ended because it has claimed all that it may"
    scene.started[1].die()
    scene.step()
    assert not scene.place.is_finished, "it has died"
    scene.step(1)
    scene.started[2].die(claimed=2)
    scene.step()
    assert scene.place.is_finished
    scene.step(60)
    assert len(scene.started) == 3
    assert scene.place.claimed == 5


def test_nothing_starts_while_the_pool_stops(make: type[Scene]) -> None:
    scene = make()
    scene.step()
    scene.started[0].die()
    scene.step(60, may_start=False)
    assert len(scene.started) == 1
