//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// Reads rings of 1 MiB that are full of records of 24 bytes: nothing waits, one operation is a record.
func benchmark(b *testing.B, read func(*ringbuf.Reader) (int, error)) {
	source := newMemorySource(b, 1<<20)
	reader, err := ringbuf.NewReader(source)
	if err != nil {
		b.Fatal(err)
	}
	defer reader.Close()
	data := make([]byte, 24)
	left := 0
	b.ReportAllocs()
	for n := 0; n < b.N; {
		if left == 0 {
			b.StopTimer()
			for done := true; done; left++ {
				if done, err = source.Produce(data, 0); err != nil {
					b.Fatal(err)
				}
			}
			left--
			reader.SetDeadline(time.Time{})
			b.StartTimer()
		}
		count, err := read(reader)
		if err != nil {
			b.Fatal(err)
		}
		left -= count
		n += count
	}
}

func BenchmarkReadBatch(b *testing.B) {
	records := make([]ringbuf.Record, 256)
	benchmark(b, func(reader *ringbuf.Reader) (int, error) {
		n, err := reader.ReadBatch(records)
		for i := range records[:n] {
			sum += records[i].RawSample[0]
		}
		if err == nil {
			err = reader.Commit()
		}
		return n, err
	})
}

func BenchmarkReadSpan(b *testing.B) {
	benchmark(b, func(reader *ringbuf.Reader) (int, error) {
		span, err := reader.ReadSpan(256)
		for i := range span.Count {
			sum += span.Sample(i)[0]
		}
		if err == nil {
			err = reader.Commit()
		}
		return span.Count, err
	})
}

type words struct{ First, Second, Third uint64 }

func BenchmarkTypedSpan(b *testing.B) {
	typed, err := ringbuf.TypedOf[words]()
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, func(reader *ringbuf.Reader) (int, error) {
		span, err := reader.ReadSpan(256)
		if err != nil {
			return 0, err
		}
		values, err := typed.Span(&span)
		if err != nil {
			return 0, err
		}
		for _, value := range values {
			sum += byte(value.Second)
		}
		return span.Count, reader.Commit()
	})
}

// benchmarkSpan has each sample decoded.
func benchmarkSpan(b *testing.B, decode func(sample []byte) (*words, error)) {
	benchmark(b, func(reader *ringbuf.Reader) (int, error) {
		span, err := reader.ReadSpan(256)
		if err != nil {
			return 0, err
		}
		for i := range span.Count {
			value, err := decode(span.Sample(i))
			if err != nil {
				return 0, err
			}
			sum += byte(value.Second)
		}
		return span.Count, reader.Commit()
	})
}

func BenchmarkTypedAs(b *testing.B) {
	typed, err := ringbuf.TypedOf[words]()
	if err != nil {
		b.Fatal(err)
	}
	benchmarkSpan(b, typed.As)
}

func BenchmarkAs(b *testing.B) {
	benchmarkSpan(b, ringbuf.As[words])
}

// What others do for want of that.
func BenchmarkDecode(b *testing.B) {
	benchmarkSpan(b, func(sample []byte) (*words, error) {
		value := new(words)
		_, err := binary.Decode(sample, binary.NativeEndian, value)
		return value, err
	})
}

func BenchmarkTypedRecords(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	benchmark(b, func(reader *ringbuf.Reader) (int, error) {
		n := 0
		for value, err := range ringbuf.Records[words](ctx, reader) {
			if err != nil {
				return n, err
			}
			sum += byte(value.Second)
			if n++; n == 1024 || reader.AvailableBytes() == 0 {
				break
			}
		}
		return n, nil
	})
}

func BenchmarkReadZeroCopy(b *testing.B) {
	var record ringbuf.Record
	number := 0
	benchmark(b, func(reader *ringbuf.Reader) (int, error) {
		err := reader.ReadZeroCopy(&record)
		if err == nil {
			sum += record.RawSample[0]
		}
		if number++; err == nil && number%256 == 0 {
			err = reader.Commit()
		}
		return 1, err
	})
}

func BenchmarkReadInto(b *testing.B) {
	var record ringbuf.Record
	benchmark(b, func(reader *ringbuf.Reader) (int, error) {
		err := reader.ReadInto(&record)
		if err == nil {
			sum += record.RawSample[0]
		}
		return 1, err
	})
}

func BenchmarkRecords(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	benchmark(b, func(reader *ringbuf.Reader) (int, error) {
		n := 0
		for record := range reader.Records(ctx) {
			sum += record.RawSample[0]
			if n++; n == 1024 || record.Remaining == 0 {
				break
			}
		}
		return n, reader.Err()
	})
}

var sum byte
