"""A bell: nobody who waits misses a ring, from whatever thread it comes."""

from __future__ import annotations

import asyncio
import threading

from darkstream.observe.bell import Bell


async def test_everybody_who_waits_hears_it_from_any_thread() -> None:
    bell = Bell(7)
    bell.attach()
    waiting = [asyncio.create_task(bell.wait(7, 60.0)) for _ in range(3)]
    await asyncio.sleep(0)
    thread = threading.Thread(target=bell.ring)
    thread.start()
    thread.join()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [8, 8, 8]


async def test_a_ring_between_two_waits_is_heard() -> None:
    bell = Bell()
    bell.ring()  # before there is a loop
    bell.attach()
    assert await asyncio.wait_for(bell.wait(0, 60.0), 5) == 1
    bell.ring()
    assert await asyncio.wait_for(bell.wait(1, 60.0), 5) == 2


async def test_without_a_ring_the_mark_stays() -> None:
    bell = Bell()
    bell.attach()
    assert await bell.wait(0, 0.01) == 0


async def test_once_closed_nobody_waits() -> None:
    bell = Bell()
    bell.attach()
    waiting = asyncio.create_task(bell.wait(0, 60.0))
    await asyncio.sleep(0)
    bell.close()
    mark = await asyncio.wait_for(waiting, 5)
    assert await asyncio.wait_for(bell.wait(mark, 60.0), 5) == mark


def test_a_ring_after_the_end_of_the_loop_is_no_error() -> None:
    bell = Bell()

    async def attach() -> None:
        bell.attach()

    asyncio.run(attach())
    bell.ring()
