"""Options and fixtures: one place where a job is timed, its answers judged and both recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from bench.data import Array, Chinchilla, chinchilla
from bench.peers import lbfgsb
from bench.peers.workers import Workers
from bench.quality import Answers


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="fewer rounds, without the slowest peers and the cold starts")
    parser.addoption("--no-peers", action="store_true", help="fastscale alone")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "peer: a benchmark of another library")
    config.addinivalue_line("markers", "slow: left out by --quick")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for option, marker in (("--quick", "slow"), ("--no-peers", "peer")):
        if config.getoption(option):
            for item in items:
                if item.get_closest_marker(marker):
                    item.add_marker(pytest.mark.skip(reason=f"left out by {option}"))


@pytest.fixture(scope="session")
def quick(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--quick"))


@pytest.fixture(scope="session")
def points() -> Chinchilla:
    return chinchilla()


@pytest.fixture(scope="session")
def answers() -> Iterator[Answers]:
    """Judges all answers at the end, when every method's are in."""
    found = Answers()
    yield found
    found.judge()


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    """Warm processes on all cores, for the peers that need them."""
    pool = Workers(lbfgsb.warm)
    yield pool
    pool.close()


@dataclass
class Timed:
    """Times a job once and records what came of it in the benchmark's `extra_info`."""

    benchmark: Any
    quick: bool
    answers: Answers

    def __call__(
        self, what: str, method: str, function: Callable[[], Any], rounds: int = 20, warm: bool = True, **info: Any
    ) -> Any:
        """The function's result; the warm-up call is outside the timing, further keywords go to `extra_info`."""
        self.benchmark.group = what
        self.benchmark.extra_info.update(what=what, method=method, **info)
        rounds = max(1, rounds // 4) if self.quick else rounds
        return self.benchmark.pedantic(function, rounds=rounds, iterations=1, warmup_rounds=int(warm))

    def record(self, **info: Any) -> None:
        """Add to `extra_info` what is known only after the run."""
        self.benchmark.extra_info.update(info)

    def statuses(self, counts: pd.Series) -> None:
        """Record how many fits ended with each status."""
        self.record(statuses={str(label): int(count) for label, count in counts.items()})

    def judge(self, objectives: Array) -> None:
        """Compare the answers' objectives with every other method's for the same job, once all are in."""
        info = self.benchmark.extra_info
        self.answers.add(info["what"], info["method"], objectives, info)


@pytest.fixture
def timed(benchmark: Any, quick: bool, answers: Answers) -> Timed:
    return Timed(benchmark, quick, answers)
