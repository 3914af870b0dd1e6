// SPDX-License-Identifier: MIT

// Package ringbuf reads the BPF ring buffer: in batches, without copying where that is wanted, and
// with wakeups only where they pay. It is built on the C library rbcore, which comes with it as one
// source file: cgo and a C compiler are all it needs.
//
// A [Reader] takes any ring that has a file descriptor, such as a *ebpf.Map of cilium/ebpf or a
// [MemoryRing], and has the methods of that package's reader:
//
//	reader, err := ringbuf.NewReader(objs.Events)
//	...
//	record, err := reader.Read()
//
// There are three ways to read. They can be mixed:
//
//   - [Reader.Read] and [Reader.ReadInto] copy a record and give back its space.
//   - [Reader.ReadZeroCopy], [Reader.ReadBatch] and [Reader.ReadSpan] hand out records that lie in the
//     ring itself, and stay valid until [Reader.Commit] gives them back.
//   - [Reader.Records] is a loop over records in the ring, which gives back what the loop has seen.
//
// Each function that waits has a variant that ends when a context is done, such as [Reader.ReadBatchContext].
//
// One reader can read several rings: [Reader.Add] and [Reader.Remove] may be called while other goroutines read,
// and each record says its [Record.Ring].
//
// A reader opened [WithRelease] hands out records that are given back one by one, in any order and by any
// goroutine, with [Reader.Release].
//
// Samples are bytes. [TypedOf] checks once that they can be looked at as values of a struct. [Typed.As],
// [Typed.Span] and the loop [Records] then do so, without a copy and at the cost of a comparison:
//
//	for event, err := range ringbuf.Records[event](ctx, reader) {
//
// [WithOverwrite] reads rings in overwrite mode, [WithTap] looks at a ring beside its reader, and a
// [Snapshot] has what a ring holds at one moment.
//
// Records are fetched from the ring a batch at a time. A goroutine that waits for those of an idle ring is
// parked by the runtime and takes no thread. While records stream, a wait lasts at most the maximal latency
// ([WithMaxLatency]). Where that is a millisecond or less and GOMAXPROCS is not 1, the reader sleeps in a
// call of C. The call takes a thread for that time, and costs half the processor time of a wait in the
// runtime. Close, Flush, SetDeadline and a context that is done end both kinds of wait.
//
// # Errors
//
// An error is one sentence. errors.Is tells its cause: the description of each function names the possible
// ones. A method of a nil pointer or of a zero [Reader], [Producer] or [MemoryRing] does not panic, nor does
// a nil ring, option or record. Each returns an error for which errors.Is(err, syscall.EINVAL) holds.
//
// # Platforms
//
// Linux 5.8 or newer, with cgo; a 32-bit program reads memory rings and the rings of a 64-bit kernel.
// Elsewhere the package compiles, and the functions that open a ring return an error for which errors.Is(err,
// errors.ErrUnsupported) holds.
package ringbuf
