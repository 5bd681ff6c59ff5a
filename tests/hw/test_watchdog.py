from collections.abc import Awaitable, Callable
from typing import Any

from amaranth.sim import Simulator

from axft_hw.watchdog import Watchdog


def run(body: Callable[[Any, Callable[..., Awaitable[None]], Watchdog], Awaitable[None]]) -> None:
    """Run a test; `pulse` sets inputs for one cycle and lets more pass."""
    watchdog = Watchdog()
    simulator = Simulator(watchdog)
    simulator.add_clock(1e-6)

    async def testbench(ctx: Any) -> None:
        async def pulse(*names: str, then: int = 0) -> None:
            for name in names:
                ctx.set(getattr(watchdog, name), 1)
            await ctx.tick()
            for name in names:
                ctx.set(getattr(watchdog, name), 0)
            for _ in range(then):
                await ctx.tick()

        await body(ctx, pulse, watchdog)

    simulator.add_testbench(testbench)
    simulator.run()


def test_hang_rises_at_the_limit_after_a_command_that_does_not_end():
    """The core may call itself idle all the while."""

    async def body(ctx, pulse, watchdog):
        ctx.set(watchdog.limit, 5)
        await pulse("command_accepted")
        seen = []
        for _ in range(8):
            seen.append((ctx.get(watchdog.count), ctx.get(watchdog.hang)))
            await ctx.tick()
        assert seen == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 1), (6, 1), (7, 1)]

    run(body)


def test_limit_of_zero_never_hangs():
    """It is off."""

    async def body(ctx, pulse, watchdog):
        await pulse("command_accepted", then=30)
        assert ctx.get(watchdog.count) == 30
        assert not ctx.get(watchdog.hang)

    run(body)


def test_every_end_restarts_the_count_and_the_last_one_stops_it():
    """Tiles of one command count as ends, but leave it outstanding."""

    async def body(ctx, pulse, watchdog):
        await pulse("command_accepted", then=3)
        await pulse("command_accepted", then=3)
        assert ctx.get(watchdog.count) == 7
        await pulse("tile_done", then=2)
        assert (ctx.get(watchdog.count), ctx.get(watchdog.working)) == (2, 1)
        await pulse("tile_done", "command_done", then=2)
        assert (ctx.get(watchdog.count), ctx.get(watchdog.working)) == (2, 1)
        await pulse("command_done", then=4)
        assert (ctx.get(watchdog.count), ctx.get(watchdog.working)) == (0, 0)

    run(body)


def test_command_that_comes_as_another_ends_stays_outstanding():
    """Neither is lost in the cycle of both."""

    async def body(ctx, pulse, watchdog):
        await pulse("command_accepted")
        await pulse("command_accepted", "command_done")
        assert ctx.get(watchdog.commands_outstanding)
        await pulse("command_done")
        assert not ctx.get(watchdog.working)

    run(body)


def test_ends_without_begin_and_begins_without_end_do_not_wrap_the_account():
    """What a core does that a fault has upset."""

    async def body(ctx, pulse, watchdog):
        await pulse("command_done", then=1)
        assert not ctx.get(watchdog.working)
        for _ in range(40):
            await pulse("command_accepted")
        assert ctx.get(watchdog.working)
        await pulse("restart")
        assert not ctx.get(watchdog.working)

    run(body)


def test_scan_and_a_busy_core_count_as_work():
    """A core that calls itself busy without being asked to is a hang too."""

    async def body(ctx, pulse, watchdog):
        ctx.set(watchdog.limit, 3)
        await pulse("scan_accepted", then=4)
        assert ctx.get(watchdog.hang)
        await pulse("scan_done")
        assert not ctx.get(watchdog.working)
        ctx.set(watchdog.core_busy, 1)
        await ctx.tick().repeat(4)
        assert ctx.get(watchdog.hang)
        ctx.set(watchdog.core_busy, 0)
        assert not ctx.get(watchdog.hang)

    run(body)
