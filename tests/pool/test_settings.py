from __future__ import annotations

from aioq.pool.settings import ChildSettings, PoolSettings


def made(name: str | None = None, max_jobs: int | None = None, processes: int = 4) -> PoolSettings:
    child = ChildSettings(["q"], None, {"name": name}, {"burst": False}, [], None, {"as_json": True})

    return PoolSettings(processes, child, max_jobs, None, ends=False, stop_s=1, hurried_s=1)


def test_a_process_is_told_its_number() -> None:
    child = made("web").child
    told = child.of_process(3, 50)
    assert told["options"] == {"name": "web-3"}
    assert told["style"] == {"as_json": True, "child": 3}
    assert told["limits"] == {"burst": False, "max_jobs": 50}
    assert child.options == {"name": "web"}
    assert made().child.of_process(3, None)["options"] == {"name": None}


def test_the_first_processes_end_one_after_the_other() -> None:
    settings = made(max_jobs=1000)
    assert [settings.jobs_of_first(number) for number in (1, 2, 3, 4)] == [1000, 975, 950, 925]
    assert [made(max_jobs=1).jobs_of_first(number) for number in (1, 4)] == [1, 1]
    assert made().jobs_of_first(2) is None
