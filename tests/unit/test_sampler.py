from __future__ import annotations

from barasync.aiopodman import ContainerStats, Endpoint, Podman
from barasync.engine.sampler import Sampler
from barasync.matrix.outcome import Usage


def sampler() -> Sampler:
    return Sampler(Podman(Endpoint("unix:///nowhere/podman.sock", "a test")))


def sample(container: str, memory: int, cpu: int) -> ContainerStats:
    return ContainerStats(container_id=container, memory_bytes=memory, cpu_nanoseconds=cpu)


def test_the_highest_figures_are_kept_and_marked_as_not_exact() -> None:
    sampled = sampler()
    sampled.take([sample("a", 100, 1_000_000_000), sample("b", 7, 0)])
    sampled.take([sample("a", 300, 1_500_000_000)])
    sampled.take([sample("a", 200, 2_000_000_000)])

    assert sampled.usage("a") == Usage(peak_memory_bytes=300, cpu_seconds=2.0, exact=False)
    assert sampled.usage("b") == Usage(peak_memory_bytes=7, cpu_seconds=0.0)


def test_a_container_without_a_sample_has_no_figures() -> None:
    assert sampler().usage("a") == Usage()


def test_the_figures_kept_are_bounded() -> None:
    sampled = sampler()
    for number in range(5000):
        sampled.take([sample(str(number), 1, 1)])

    assert sampled.usage("0") == Usage()
    assert sampled.usage("4999").peak_memory_bytes == 1
    assert len(sampled._figures) <= 1024
