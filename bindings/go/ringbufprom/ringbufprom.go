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
	"sync"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// A metric is one statistic. The second result of value says whether it is known.
type metric struct {
	description *prometheus.Desc
	kind        prometheus.ValueType
	value       func(*ringbuf.Stats) (uint64, bool)
}

func newMetric(name, help string, kind prometheus.ValueType, value func(*ringbuf.Stats) (uint64, bool)) metric {
	full := prometheus.BuildFQName("rbcore", "ring", name)
	return metric{prometheus.NewDesc(full, help, []string{"ring"}, nil), kind, value}
}

func counter(name, help string, value func(*ringbuf.Stats) uint64) metric {
	return newMetric(name, help, prometheus.CounterValue, known(value))
}

func gauge(name, help string, value func(*ringbuf.Stats) uint64) metric {
	return newMetric(name, help, prometheus.GaugeValue, known(value))
}

func known(value func(*ringbuf.Stats) uint64) func(*ringbuf.Stats) (uint64, bool) {
	return func(s *ringbuf.Stats) (uint64, bool) {
		v := value(s)
		return v, v != ringbuf.Unknown
	}
}

func number(is bool) uint64 {
	if is {
		return 1
	}
	return 0
}

var metrics = []metric{
	counter("records_total", "Records that were handed out.", func(s *ringbuf.Stats) uint64 { return s.Records }),
	counter("bytes_total", "Bytes of their samples.", func(s *ringbuf.Stats) uint64 { return s.Bytes }),
	counter("lost_records_total", "Records that the full ring refused, since it was created.",
		func(s *ringbuf.Stats) uint64 { return s.Lost }),
	counter("lost_bytes_total", "Bytes that were overwritten before they were read, in overwrite mode or by a tap.",
		func(s *ringbuf.Stats) uint64 { return s.LostBytes }),
	counter("discarded_records_total", "Records that their producer discarded.",
		func(s *ringbuf.Stats) uint64 { return s.Discards }),
	counter("abandoned_records_total", "Records that a producer left unfinished when it died.",
		func(s *ringbuf.Stats) uint64 { return s.Abandoned }),
	counter("skipped_records_total", "Records skipped by WithLatest.",
		func(s *ringbuf.Stats) uint64 { return s.Skipped }),
	counter("batches_total", "Fetches that brought records.", func(s *ringbuf.Stats) uint64 { return s.Batches }),
	counter("commits_total", "How often space was given back.", func(s *ringbuf.Stats) uint64 { return s.Commits }),
	counter("wakeups_total", "Waits that an event ended.", func(s *ringbuf.Stats) uint64 { return s.Wakeups }),
	gauge("size_bytes", "Size of the ring's data area.", func(s *ringbuf.Stats) uint64 { return s.RingSize }),
	gauge("waiting_bytes", "Bytes that were not read yet, with headers.",
		func(s *ringbuf.Stats) uint64 { return s.BytesWaiting }),
	gauge("held_bytes", "Bytes that were read and not given back yet, with headers.",
		func(s *ringbuf.Stats) uint64 { return s.ReadPos - s.UserPos }),
	gauge("high_water_bytes", "Most bytes that a read found not given back.",
		func(s *ringbuf.Stats) uint64 { return s.HighWater }),
	gauge("broken", "Whether the ring's content is impossible, so that it cannot be read.",
		func(s *ringbuf.Stats) uint64 { return number(s.Broken) }),
	gauge("unguarded", "Whether later readers may not notice this one.",
		func(s *ringbuf.Stats) uint64 { return number(s.Unguarded) }),
	gauge("paced", "Whether the ring is busy now, and read by the timer.",
		func(s *ringbuf.Stats) uint64 { return number(s.Paced) }),
}

// A Collector collects the statistics of readers, with the label "ring". Its methods may be called by any
// goroutine. The zero Collector has no readers.
type Collector struct {
	mu      sync.Mutex
	readers map[string]*ringbuf.Reader
}

// NewCollector makes a collector without readers, to be registered once.
func NewCollector() *Collector {
	return new(Collector)
}

// Add makes the collector collect a reader's statistics under the name of its ring, until Remove. A reader
// that was closed is left out. The error says that another reader has the name, that the name is not UTF-8,
// or that the reader is nil.
func (c *Collector) Add(ring string, reader *ringbuf.Reader) error {
	if reader == nil {
		return fmt.Errorf("ringbufprom: the reader of %q is nil", ring)
	}
	if !utf8.ValidString(ring) {
		return fmt.Errorf("ringbufprom: the name %q is not UTF-8", ring)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.readers[ring]; ok {
		return fmt.Errorf("ringbufprom: there is a reader of %q already", ring)
	}
	if c.readers == nil {
		c.readers = map[string]*ringbuf.Reader{}
	}
	c.readers[ring] = reader
	return nil
}

// Remove ends what Add began. It is no error if there is no such reader.
func (c *Collector) Remove(ring string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.readers, ring)
}

// Describe is for prometheus.Registerer.
func (c *Collector) Describe(descriptions chan<- *prometheus.Desc) {
	for i := range metrics {
		descriptions <- metrics[i].description
	}
}

// Collect is for prometheus.Gatherer.
func (c *Collector) Collect(collected chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ring, reader := range c.readers {
		stats, err := reader.Stats()
		if errors.Is(err, ringbuf.ErrClosed) {
			continue
		}
		for i := range metrics {
			m := &metrics[i]
			if err != nil {
				collected <- prometheus.NewInvalidMetric(m.description, err)
			} else if value, ok := m.value(&stats); ok {
				collected <- prometheus.MustNewConstMetric(m.description, m.kind, float64(value), ring)
			}
		}
	}
}
