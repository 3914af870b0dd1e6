# SPDX-License-Identifier: MIT
"""Random legal calls on memory rings, compared with a model of what must come out.

The seed is printed; RBCORE_RANDOM_SEED repeats it, RBCORE_RANDOM_TIMES=100 does as much work. Each
record has a number, and its content follows from that: so a view that shows anything else than the
record that it was made of is noticed, whenever that is.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import gc
import os
import random
import select
import tempfile
from typing import Any

import pytest
import rbcore
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from random_model import Entry, Holder, ReaderModel, RingModel, content

numpy = pytest.importorskip("numpy")

SEED = int(os.environ.get("RBCORE_RANDOM_SEED", random.SystemRandom().randrange(1 << 32)))
EXAMPLES = 40 * int(os.environ.get("RBCORE_RANDOM_TIMES", "1"))
STEPS = 50
WATCHDOG = 20  # seconds: longer than any wakeup takes

rings = st.integers(0, 2)
sizes = st.lists(st.sampled_from([0, 1, 8, 8, 8, 24, 100, 5000]), min_size=1, max_size=12)
picks = st.integers(0, 1 << 16)
wakes = st.sampled_from([None, None, None, True, False])


class Rings(RuleBasedStateMachine):
    """Three rings, and a reader that is closed and opened again while what it gave out lives on."""

    kind: Any = rbcore.Reader

    def __init__(self) -> None:
        super().__init__()
        faulthandler.dump_traceback_later(3 * WATCHDOG, exit=True)  # anew: not for all together
        self.rings = [RingModel(8192), RingModel(4096), RingModel(16384)]
        self.reader: Any = None
        self.model = ReaderModel()
        self.readers: list[ReaderModel] = []  # closed, but something of them lives
        self.held: list[Holder] = []
        self.reservations: list[tuple[Entry, Any]] = []
        self.errors: list[BaseException] = []  # kept, with the frames that they hold
        self.taps: list[tuple[Any, RingModel, int]] = []
        self.next_number = 0

    # ---- What the rules share

    def fails(self, kind: type[BaseException], call: Any, *args: Any, code: int = 0) -> None:
        with pytest.raises(kind) as caught:
            call(*args)
        assert code == 0 or getattr(caught.value, "errno", None) == code
        self.errors.append(caught.value)
        del self.errors[:-3]

    def number(self) -> int:
        self.next_number += 1
        return self.next_number

    def is_taken(self, ring: RingModel) -> bool:
        return any(ring in reader.taken for reader in [self.model, *self.readers])

    def expect(self, found: list[tuple[int, int, bytes]], wanted: list[Entry]) -> None:
        """Checks what was handed out: for each ring the next ones of those wanted, in its order."""
        queues: dict[int, list[Entry]] = {}
        for entry in wanted:
            queues.setdefault(self.model.index_of(entry.ring), []).append(entry)
        for index, position, data in found:
            entry = queues[index].pop(0)
            assert position == entry.position
            assert data == content(entry.number, entry.size), f"record {entry.number}"

    # ---- Producers

    @rule(ring=rings, sizes=sizes, wake=wakes)
    def output(self, ring: int, sizes: list[int], wake: bool | None) -> None:
        model = self.rings[ring]
        for size in sizes:
            number = self.number()
            try:
                model.producer.output(content(number, size), wake=wake)
            except rbcore.Full:
                model.lost += 1
                model.refused(size)
            except rbcore.Error as error:
                assert error.errno == errno.EMSGSIZE and size > model.size - 16
            else:
                model.wrote(number, size)

    @rule(ring=rings, sizes=sizes)
    def output_batch(self, ring: int, sizes: list[int]) -> None:
        model = self.rings[ring]
        sizes = [size for size in sizes if size <= 100]
        numbers = [self.number() for _ in sizes]
        records = [content(number, size) for number, size in zip(numbers, sizes)]
        try:
            written = model.producer.output_batch(records)
        except rbcore.Full:
            written = 0
        for number, size in list(zip(numbers, sizes))[:written]:
            model.wrote(number, size)
        if written < len(sizes):
            model.refused(sizes[written])  # and not lost

    @precondition(lambda self: len(self.reservations) < 4)
    @rule(ring=rings, size=st.sampled_from([0, 8, 100]))
    def reserve(self, ring: int, size: int) -> None:
        model = self.rings[ring]
        number = self.number()
        try:
            reservation = model.producer.reserve(size)
        except rbcore.Full:
            model.lost += 1
            model.refused(size)
        else:
            entry = model.wrote(number, size)
            entry.state = "open"
            reservation.view[:] = content(number, size)
            self.reservations.append((entry, reservation))

    @precondition(lambda self: self.reservations)
    @rule(pick=picks, how=st.sampled_from(["submit", "discard", "forget", "with", "raise"]))
    def finish(self, pick: int, how: str) -> None:
        entry, reservation = self.reservations.pop(pick % len(self.reservations))
        if how == "submit":
            reservation.submit()
        elif how == "with":
            with reservation:
                pass
        elif how == "raise":
            with pytest.raises(KeyError), reservation:
                raise KeyError
        elif how == "discard":
            reservation.discard()
        entry.state = "there" if how in ("submit", "with") else "discarded"
        if how != "forget":
            with pytest.raises(ValueError, match="already"):
                reservation.submit()

    # ---- The reader's life

    @initialize(first=rings, second=rings)
    def begin(self, first: int, second: int) -> None:
        self.open_reader(8, 0)
        self.add(first)
        self.add(second)

    @precondition(lambda self: self.reader is None)
    @rule(batch_size=st.sampled_from([1, 3, 8, 4096]), latency=st.sampled_from([0, 0.0001, 0.01]))
    def open_reader(self, batch_size: int, latency: float) -> None:
        self.reader = self.kind(batch_size=batch_size, max_latency=latency)
        self.model = ReaderModel(batch_size)

    @precondition(lambda self: self.reader)
    @rule(ring=rings)
    def add(self, ring: int) -> None:
        model = self.rings[ring]
        if self.model.is_shut:
            self.fails(rbcore.Closed, self.reader.add, model.memory)
        elif self.is_taken(model):
            self.fails(rbcore.Busy, self.reader.add, model.memory)
        else:
            index = self.reader.add(model.memory)
            assert index not in self.model.rings
            self.model.add(index, model)

    @precondition(lambda self: self.reader)
    @rule(index=st.integers(0, 6))
    def remove(self, index: int) -> None:
        self.model.let_go(self.held)
        if index not in self.model.rings:
            self.fails(rbcore.Error, self.reader.remove, index, code=errno.EINVAL)
        elif self.model.rings[index].is_held() and self.kind is rbcore.Reader:
            self.fails(rbcore.Busy, self.reader.remove, index)
        else:
            self.reader.remove(index)
            self.model.remove(index)
            self.settle()
            self.fails(rbcore.Error, self.reader.snapshot, index, code=errno.EINVAL)

    @precondition(lambda self: self.reader)
    @rule(how=st.sampled_from(["close", "with", "forget"]))
    def close(self, how: str) -> None:
        if how == "forget":  # and what it gave out may live on
            self.errors.clear()
        elif how == "with":
            with self.reader:
                pass
        else:
            self.reader.close()
        if how != "forget":  # where no variable may keep the reader
            for use in (self.reader.next, self.reader.stats, self.reader.flush):
                self.fails(rbcore.Closed, use)
        for handed in self.model.batches if how != "forget" else []:
            with pytest.raises(ValueError, match="given back"):
                handed.batch[-1]
        self.reader = None
        closed, self.model = self.model, ReaderModel()
        self.readers.append(closed)
        closed.close(self.held, how)
        if how == "forget":
            gc.collect()
        self.settle()

    @precondition(lambda self: self.reader)
    @rule(how=st.sampled_from(["interrupt", "flush", "shutdown"]), often=st.integers(1, 6))
    def ask(self, how: str, often: int) -> None:
        if how == "shutdown" and often < 6:
            return  # less often: it ends reading for good
        for _ in range(often):
            getattr(self.reader, how)()
        self.model.ask(how)

    # ---- Reading

    @precondition(lambda self: self.reader)
    @rule(way=st.sampled_from(["next", "read", "look", "wait", "select"]), limit=st.integers(1, 10))
    def read(self, way: str, limit: int) -> None:
        if self.kind is not rbcore.Reader and way in ("read", "look"):
            way = "next"
        if way == "look" and (self.model.is_flushing or self.model.is_flush_asked):
            way = "read"
        if way == "select" and self.model.is_armed and self.model.visible():
            poll = select.poll()
            poll.register(self.reader, select.POLLIN)
            assert poll.poll(WATCHDOG * 1000), "nothing made the descriptor readable"
        self.read_and_compare(way, limit)

    def read_and_compare(self, way: str, limit: int) -> type[rbcore.Error] | None:
        self.model.let_go(self.held)
        error = self.model.answer()
        if error is not None:
            self.model.is_armed = False
            self.fails(error, self.call(way, limit))
            return error
        wanted = self.model.visible()
        takeable = self.model.takeable()
        try:
            batch = self.call("next" if way == "wait" and not wanted else way, limit)()
        except rbcore.Flushed:
            assert self.model.can_be_flushed()
            self.model.is_flushing = self.model.is_armed = False
            return rbcore.Flushed
        found = [self.take(batch, i) for i in range(len(batch))]
        self.expect(found, wanted)
        if way in ("read", "look"):
            assert len(found) == min(limit, self.model.batch_size, takeable)
        elif way == "wait":
            assert found or not wanted
        entries = [self.model.rings[index].at(position) for index, position, _ in found]
        self.model.handed(batch, entries, way != "look")
        if self.kind is rbcore.LeaseReader:
            for lease, entry in zip(batch, entries):
                self.held.append(Holder.of_lease(self.model, lease, entry))
        return None

    def call(self, way: str, limit: int) -> Any:
        reader = self.reader
        if way in ("read", "look"):
            return lambda: self.watched(getattr(reader, way), limit)
        return lambda: self.watched(reader.next, WATCHDOG if way == "wait" else 0)

    def watched(self, call: Any, argument: int) -> Any:
        """Whether views are moved out of the ring is a matter of time as well."""
        before = self.moved_bytes()
        try:
            return call(argument)
        finally:
            if self.moved_bytes() != before:
                assert self.model.batches
                self.model.evacuated(self.held)

    def moved_bytes(self) -> int:
        return getattr(self.reader, "evacuated_bytes", 0)

    def take(self, batch: Any, i: int) -> tuple[int, int, bytes]:
        if self.kind is rbcore.LeaseReader:
            return batch[i].ring, batch[i].position, bytes(batch[i].view)
        return batch.ring(i), batch.position(i), bytes(batch[i])

    @precondition(lambda self: self.reader)
    @rule()
    def read_until_flushed(self) -> None:
        """The loop ends. All that is there comes, whatever else was asked before."""
        self.reader.flush()
        self.model.ask("flush")
        error = None
        while error not in (rbcore.Flushed, rbcore.Closed):
            error = self.read_and_compare("wait", 0)
        assert self.model.is_shut or not self.model.visible()

    # ---- What is held

    # What is handed out and held is a matter of time as well. No precondition may depend on that.

    @precondition(lambda self: self.reader and self.kind is rbcore.Reader)
    @rule(pick=picks, how=st.sampled_from(["view", "slice", "array", "batch", "iterator"]), i=picks)
    def hold(self, pick: int, how: str, i: int) -> None:
        if not self.model.batches:
            return
        handed = self.model.batches[pick % len(self.model.batches)]
        if handed.batch is not None and len(handed.entries) > handed.first:
            i = handed.first + i % (len(handed.entries) - handed.first)
            if how in ("array", "iterator") and handed.first:
                how = "view"
            self.held.append(Holder.of_batch(self.model, handed, how, i))

    @rule(pick=picks, many=st.booleans())
    def drop(self, pick: int, many: bool) -> None:
        if not self.held:
            return
        pick %= len(self.held)
        for holder in self.held[pick:] if many else self.held[pick : pick + 1]:
            self.held.remove(holder)
            holder.drop()
        self.settle()

    @precondition(lambda self: self.kind is rbcore.LeaseReader)
    @rule(pick=picks, how=st.sampled_from(["release", "with", "slice", "busy"]))
    def release(self, pick: int, how: str) -> None:
        leases = [holder for holder in self.held if holder.lease]
        if not leases:
            return
        holder = leases[pick % len(leases)]
        if holder.release(how):
            self.held.remove(holder)
        self.settle()

    def settle(self) -> None:
        for model in [self.model, *self.readers]:
            model.settle(self.held)
        self.readers = [model for model in self.readers if model.taken]

    @precondition(lambda self: self.reader and self.kind is rbcore.Reader)
    @rule(pick=picks, count=st.integers(0, 4), now=st.booleans())
    def commit(self, pick: int, count: int, now: bool) -> None:
        batches = self.model.batches
        if pick % 2 or not batches:
            if any(self.model.holds(handed, self.held) for handed in batches):
                self.fails(BufferError, self.reader.commit)
            else:
                self.reader.commit(now=now)
                if batches:
                    self.model.commit(len(batches) - 1, None)
            return
        which = pick // 2 % len(batches)
        handed = batches[which]
        count = min(count, len(handed.entries))
        before = batches[: which + 1] if count else batches[:which]
        if any(self.model.holds(each, self.held) for each in before):
            self.fails(BufferError, handed.batch.commit, count)
        else:
            handed.batch.commit(count, now=now)
            self.model.commit(which, count)

    # ---- Snapshots

    @precondition(lambda self: self.reader and self.model.rings)
    @rule(pick=picks, consume=st.booleans(), as_file=st.booleans())
    def snapshot(self, pick: int, consume: bool, as_file: bool) -> None:
        self.model.let_go(self.held)
        index = sorted(self.model.rings)[pick % len(self.model.rings)]
        ring = self.model.rings[index]
        if consume and ring.is_held():
            self.fails(rbcore.Busy, lambda: self.reader.snapshot(index, consume=True))
            return
        taken = self.reader.snapshot(index, consume=consume)
        wanted = ring.not_given_back()
        if consume:
            self.model.consumed(ring)
        if as_file:
            with tempfile.TemporaryFile() as file:
                taken.save(file)
                file.seek(0)
                taken = rbcore.Snapshot.load(file)
        self.has(taken, wanted)
        if wanted:
            self.held.append(Holder(taken[0], wanted[0]))
            taken = self.reader.snapshot(index)
            again = self.reader.snapshot(index, reuse=taken)
            self.fails(ValueError, lambda: taken.info)
            assert len(again) == (0 if consume else len(wanted))

    def has(self, snapshot: rbcore.Snapshot, wanted: list[Entry]) -> None:
        found = [(snapshot.position(i), bytes(snapshot[i])) for i in range(len(snapshot))]
        assert found == [(each.position, content(each.number, each.size)) for each in wanted]

    @precondition(lambda self: self.reader and self.kind is rbcore.Reader)
    @rule(ring=rings, sizes=sizes, pick=picks, i=picks, j=picks, keep=st.booleans())
    def describe(
        self, ring: int, sizes: list[int], pick: int, i: int, j: int, keep: bool
    ) -> None:
        if not self.model.batches:
            self.output(ring, sizes, None)
            self.read_and_compare("read", 10)
        if not self.model.batches:
            return
        handed = self.model.batches[pick % len(self.model.batches)]
        i, j = i % len(handed.entries), j % len(handed.entries)
        if pick % 4:
            i, j = sorted((i, j))
        first, last = handed.entries[i], handed.entries[j]
        describe = handed.batch.snapshot_header
        if min(i, j) < handed.first:
            self.fails(ValueError, describe, i, j)
        elif first.ring is not last.ring or j < i:
            self.fails(rbcore.Error, describe, i, j, code=errno.EINVAL)
        else:
            header, view = describe(i, j)
            self.is_file_of(header, view, first, last)
            if keep:
                self.held.append(Holder.of_content(self.model, handed, view, first))

    def is_file_of(self, header: bytes, view: memoryview, first: Entry, last: Entry) -> None:
        with tempfile.TemporaryFile() as file:
            file.writelines((header, view))
            file.seek(0)
            loaded = rbcore.Snapshot.load(file)
        info = loaded.info
        assert (info.first_pos, info.end_pos) == (first.position, last.end)
        assert (info.ring_size, info.producer_pos) == (first.ring.size, first.ring.end)
        self.has(loaded, first.ring.between(first, last))

    # ---- Beside it

    @rule(ring=rings)
    def look(self, ring: int) -> None:
        model = self.rings[ring]
        stats = rbcore.ring_stats(model.memory)
        low, high = model.taken_between()
        assert low <= stats.consumer_pos <= high
        assert stats == rbcore.SourceStats(
            map_id=None,
            ring_size=model.size,
            producer_pos=model.end,
            consumer_pos=stats.consumer_pos,
            bytes_waiting=model.end - stats.consumer_pos,
            lost=model.lost,
            reader_pid=os.getpid() if self.is_taken(model) else 0,
        )

    @precondition(lambda self: len(self.taps) < 2)
    @rule(ring=rings)
    def tap(self, ring: int) -> None:
        tap = rbcore.Reader(self.rings[ring].memory, tap=True)
        self.taps.append((tap, self.rings[ring], -1))

    @precondition(lambda self: self.taps)
    @rule(pick=picks, ends=st.booleans())
    def read_tap(self, pick: int, ends: bool) -> None:
        tap, ring, last = self.taps.pop(pick % len(self.taps))
        batch = tap.read()
        for i, view in enumerate(batch):
            entry = ring.at(batch.position(i))
            assert batch.flags(i) & rbcore.RecordFlags.COPIED
            assert entry.position > last and entry.state == "there"
            assert bytes(view) == content(entry.number, entry.size)
            last = entry.position
        if batch:
            self.held.append(Holder(batch[0], ring.at(batch.position(0))))
        del batch
        if ends:
            tap.close()
        else:
            self.taps.append((tap, ring, last))

    # ---- What is always so

    @invariant()
    def what_is_held_is_right(self) -> None:
        for holder in self.held:
            holder.check()

    @invariant()
    def the_figures_are_right(self) -> None:
        if self.reader is None:
            return
        assert self.reader.stats().rings == len(self.model.rings)
        assert list(self.reader.rings()) == sorted(self.model.rings)
        for index, ring in self.model.rings.items():
            stats = self.reader.ring_stats(index)
            assert stats.producer_pos == ring.end
            low, high = ring.given_between()
            assert low <= (stats.user_pos or 0) <= high

    def teardown(self) -> None:
        with contextlib.ExitStack() as stack:  # all of it, whatever fails
            for ring in self.rings:
                stack.callback(ring.close)
            for tap, _, _ in self.taps:
                stack.callback(tap.close)
            if self.reader is not None:
                stack.callback(self.reader.close)
            self.finish_all()

    def finish_all(self) -> None:
        self.errors.clear()
        while self.reservations:
            self.reservations.pop()[0].state = "discarded"  # as forgotten ones are
        while self.held:
            self.held.pop().drop()
        if self.reader is not None:
            self.reader.close()
            self.model.close(self.held, "close")
        self.reader = None
        # Each record comes once, to one of the readers or to a last one, and nothing keeps a ring.
        for ring in self.rings:
            with rbcore.Reader(ring.memory) as last:
                found = [batch.position(i) for batch in last.batches(0) for i in range(len(batch))]
            assert found == [entry.position for entry in ring.left_for_the_next()]


class LeasedRings(Rings):
    """This is the same, with records that go back one by one."""

    kind = rbcore.LeaseReader


@pytest.mark.parametrize("machine", [Rings, LeasedRings])
def test_random_calls(machine: type[Rings]) -> None:
    print(f"RBCORE_RANDOM_SEED={SEED}")
    run_state_machine_as_test(
        seed(SEED)(machine),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
