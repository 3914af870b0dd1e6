// SPDX-License-Identifier: MIT

// Package ringbufprom offers the statistics of ringbuf's readers as metrics of Prometheus. It is a module of
// its own, so that package ringbuf does not depend on Prometheus.
//
//	collector := ringbufprom.NewCollector()
//	prometheus.MustRegister(collector)
//	err := collector.Add("events", reader)
package ringbufprom

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"syscall"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// A metric is one statistic of S, a reader or a ring. The second result of value says whether it is known.
type metric[S any] struct {
	description *prometheus.Desc
	kind        prometheus.ValueType
	value       func(*S) (uint64, bool)
}

func newMetric[S any](of, name, help string, kind prometheus.ValueType, labels []string, value func(*S) uint64) metric[S] {
	full := prometheus.BuildFQName("rbcore", of, name)
	return metric[S]{prometheus.NewDesc(full, help, labels, nil), kind, func(stats *S) (uint64, bool) {
		v := value(stats)
		return v, v != ringbuf.Unknown
	}}
}

// collect sends the metric, if it is known, or the error with which there is none.
func (m *metric[S]) collect(collected chan<- prometheus.Metric, stats *S, failed error, labels ...string) {
	if failed != nil {
		collected <- prometheus.NewInvalidMetric(m.description, failed)
	} else if value, ok := m.value(stats); ok {
		collected <- prometheus.MustNewConstMetric(m.description, m.kind, float64(value), labels...)
	}
}

func ofReader(name, help string, kind prometheus.ValueType,
	value func(*ringbuf.ReaderStats) uint64) metric[ringbuf.ReaderStats] {
	return newMetric("reader", name, help, kind, []string{"reader"}, value)
}

func counter(name, help string, value func(*ringbuf.RingStats) uint64) metric[ringbuf.RingStats] {
	return newMetric("ring", name, help, prometheus.CounterValue, []string{"reader", "ring"}, value)
}

func gauge(name, help string, value func(*ringbuf.RingStats) uint64) metric[ringbuf.RingStats] {
	return newMetric("ring", name, help, prometheus.GaugeValue, []string{"reader", "ring"}, value)
}

func number(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

// Removed rings count in these.
var readerMetrics = []metric[ringbuf.ReaderStats]{
	ofReader("records_total", "Records that were handed out.", prometheus.CounterValue,
		func(s *ringbuf.ReaderStats) uint64 { return s.Records }),
	ofReader("bytes_total", "Bytes of their samples.", prometheus.CounterValue,
		func(s *ringbuf.ReaderStats) uint64 { return s.Bytes }),
	ofReader("discarded_records_total", "Records that their producer discarded.", prometheus.CounterValue,
		func(s *ringbuf.ReaderStats) uint64 { return s.Discards }),
	ofReader("batches_total", "Fetches that brought records.", prometheus.CounterValue,
		func(s *ringbuf.ReaderStats) uint64 { return s.Batches }),
	ofReader("commits_total", "How often space was given back.", prometheus.CounterValue,
		func(s *ringbuf.ReaderStats) uint64 { return s.Commits }),
	ofReader("wakeups_total", "Waits that an event ended.", prometheus.CounterValue,
		func(s *ringbuf.ReaderStats) uint64 { return s.Wakeups }),
	ofReader("rings", "Rings that the reader has.", prometheus.GaugeValue,
		func(s *ringbuf.ReaderStats) uint64 { return s.Rings }),
}

var ringMetrics = []metric[ringbuf.RingStats]{
	counter("records_total", "Records that were handed out.", func(s *ringbuf.RingStats) uint64 { return s.Records }),
	counter("bytes_total", "Bytes of their samples.", func(s *ringbuf.RingStats) uint64 { return s.Bytes }),
	counter("lost_records_total", "Records that the full ring refused, since it was created.",
		func(s *ringbuf.RingStats) uint64 { return s.Lost }),
	counter("lost_bytes_total", "Bytes that were overwritten before they were read, in overwrite mode or by a tap.",
		func(s *ringbuf.RingStats) uint64 { return s.LostBytes }),
	counter("discarded_records_total", "Records that their producer discarded.",
		func(s *ringbuf.RingStats) uint64 { return s.Discards }),
	counter("abandoned_records_total", "Records that a producer left unfinished when it died.",
		func(s *ringbuf.RingStats) uint64 { return s.Abandoned }),
	counter("skipped_records_total", "Records skipped by WithLatest.",
		func(s *ringbuf.RingStats) uint64 { return s.Skipped }),
	gauge("size_bytes", "Size of the ring's data area.", func(s *ringbuf.RingStats) uint64 { return s.RingSize }),
	gauge("waiting_bytes", "Bytes that were not read yet, with headers.",
		func(s *ringbuf.RingStats) uint64 { return s.BytesWaiting }),
	gauge("held_bytes", "Bytes that were read and not given back yet, with headers.",
		func(s *ringbuf.RingStats) uint64 { return s.ReadPos - s.UserPos }),
	gauge("high_water_bytes", "Most bytes that a read found not given back.",
		func(s *ringbuf.RingStats) uint64 { return s.HighWater }),
	gauge("broken", "Whether the ring's content is impossible, so that it cannot be read.",
		func(s *ringbuf.RingStats) uint64 { return number(s.Broken) }),
	gauge("unguarded", "Whether later readers may not notice this one.",
		func(s *ringbuf.RingStats) uint64 { return number(s.Unguarded) }),
	gauge("paced", "Whether the ring is paced now: a timer reads it.",
		func(s *ringbuf.RingStats) uint64 { return number(s.Paced) }),
}

// A Collector collects the statistics of readers, with the label "reader", and of each of their rings, with the
// label "ring" beside it: the ring's index in its reader, as [ringbuf.Record.Ring] tells it. Its methods may be
// called by any goroutine. The zero Collector has no readers.
type Collector struct {
	mu      sync.Mutex
	readers map[string]*ringbuf.Reader
}

// NewCollector makes a collector without readers, to be registered once.
func NewCollector() *Collector {
	return new(Collector)
}

// Add makes the collector collect the statistics of a reader, under this name, and of the rings that it has at that
// moment, until Remove. A reader that was closed is left out, and so is a ring that was removed from it. The error
// says that another reader has the name, that the name is not UTF-8, or that the reader is nil.
func (c *Collector) Add(name string, reader *ringbuf.Reader) error {
	if reader == nil {
		return fmt.Errorf("ringbufprom: the reader %q is nil", name)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("ringbufprom: the name %q is not UTF-8", name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.readers[name]; ok {
		return fmt.Errorf("ringbufprom: there is a reader %q already", name)
	}
	if c.readers == nil {
		c.readers = map[string]*ringbuf.Reader{}
	}
	c.readers[name] = reader
	return nil
}

// Remove ends what Add began. It is no error if there is no such reader.
func (c *Collector) Remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.readers, name)
}

// Describe is for prometheus.Registerer.
func (c *Collector) Describe(descriptions chan<- *prometheus.Desc) {
	for i := range readerMetrics {
		descriptions <- readerMetrics[i].description
	}
	for i := range ringMetrics {
		descriptions <- ringMetrics[i].description
	}
}

// Collect is for prometheus.Gatherer.
func (c *Collector) Collect(collected chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, reader := range c.readers {
		stats, err := reader.Stats()
		if errors.Is(err, ringbuf.ErrClosed) {
			continue
		}
		for i := range readerMetrics {
			readerMetrics[i].collect(collected, &stats, err, name)
		}
		for ring := range reader.Rings() {
			collectRing(collected, name, reader, ring)
		}
	}
}

func collectRing(collected chan<- prometheus.Metric, name string, reader *ringbuf.Reader, ring int) {
	stats, err := reader.RingStats(ring)
	if errors.Is(err, ringbuf.ErrClosed) || errors.Is(err, syscall.EINVAL) {
		return // closed or removed since
	}
	for i := range ringMetrics {
		ringMetrics[i].collect(collected, &stats, err, name, strconv.Itoa(ring))
	}
}
