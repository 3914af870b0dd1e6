//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbufprom_test

import (
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
	"github.com/rbcore/rbcore/bindings/go/ringbufprom"
)

func newReader(t *testing.T, samples int) *ringbuf.Reader {
	t.Helper()
	reader, err := ringbuf.NewReader(newRing(t, samples))
	must(t, err)
	t.Cleanup(func() { reader.Close() })
	return reader
}

// newRing has samples, and counted 3 that it refused.
func newRing(t *testing.T, samples int) *ringbuf.MemoryRing {
	t.Helper()
	ring, err := ringbuf.NewMemoryRing(os.Getpagesize())
	must(t, err)
	t.Cleanup(func() { ring.Close() })
	producer, err := ringbuf.NewProducer(ring)
	must(t, err)
	defer producer.Close()
	for range samples {
		must(t, producer.Output(make([]byte, 24), 0))
	}
	for range 3 { // refused
		if producer.Output(make([]byte, os.Getpagesize()-16), 0) == nil {
			t.Fatal("the ring is not full")
		}
	}
	return ring
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scrape returns the lines with these labels that Prometheus would get, of a reader or of a ring.
func scrape(t *testing.T, registry *prometheus.Registry, labels string) map[string]string {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	handler.ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	if recorder.Code != 200 {
		t.Fatalf("%d: %s", recorder.Code, recorder.Body)
	}
	lines := map[string]string{}
	for _, line := range strings.Split(recorder.Body.String(), "\n") {
		if name, value, ok := strings.Cut(line, "{"+labels+"} "); ok {
			lines[strings.TrimPrefix(name, "rbcore_")] = value
		}
	}
	return lines
}

func has(t *testing.T, lines, wanted map[string]string) {
	t.Helper()
	for name, want := range wanted {
		if lines[name] != want || want == "" {
			t.Errorf("%s: got %q instead of %q", name, lines[name], want)
		}
		delete(lines, name)
	}
	if len(lines) != 0 {
		t.Errorf("unexpected: %v", lines)
	}
}

func TestCollector(t *testing.T) {
	collector := ringbufprom.NewCollector()
	registry := prometheus.NewPedanticRegistry() // compares Describe with Collect
	must(t, registry.Register(collector))
	first, second := newReader(t, 5), newReader(t, 1)
	must(t, collector.Add("first", first))
	must(t, collector.Add("second", second))
	records := make([]ringbuf.Record, 3)
	n, err := first.ReadBatch(records)
	if n != 3 || err != nil {
		t.Fatal(n, err)
	}
	must(t, first.CommitTo(&records[0]))
	lines := scrape(t, registry, `reader="first"`)
	has(t, lines, map[string]string{
		"reader_records_total": "3", "reader_bytes_total": "72", "reader_discarded_records_total": "0",
		"reader_batches_total": "1", "reader_commits_total": "1", "reader_rings": "1",
		"reader_wakeups_total": lines["reader_wakeups_total"],
	})
	lines = scrape(t, registry, `reader="first",ring="0"`)
	has(t, lines, map[string]string{
		"ring_records_total": "3", "ring_bytes_total": "72", "ring_lost_records_total": "3", "ring_lost_bytes_total": "0",
		"ring_discarded_records_total": "0", "ring_abandoned_records_total": "0", "ring_skipped_records_total": "0",
		"ring_waiting_bytes": "64", "ring_held_bytes": "64", "ring_high_water_bytes": "160", "ring_broken": "0",
		"ring_unguarded": "0", "ring_paced": "0", "ring_size_bytes": lines["ring_size_bytes"],
	})
	if got := scrape(t, registry, `reader="second",ring="0"`)["ring_waiting_bytes"]; got != "32" {
		t.Errorf("the other ring has %q bytes", got)
	}

	if collector.Add("first", second) == nil || collector.Add("third", nil) == nil {
		t.Error("a name twice, or no reader, is no error")
	}
	must(t, first.Close())
	if lines := scrape(t, registry, `reader="first"`); len(lines) != 0 {
		t.Errorf("a closed reader has %v", lines)
	}
	collector.Remove("first")
	must(t, collector.Add("first", newReader(t, 2)))
	if got := scrape(t, registry, `reader="first",ring="0"`)["ring_waiting_bytes"]; got != "64" {
		t.Errorf("the new reader has %q bytes", got)
	}
	collector.Remove("second")
	collector.Remove("second")
	if lines := scrape(t, registry, `reader="second"`); len(lines) != 0 {
		t.Errorf("a removed reader has %v", lines)
	}
}

// Each scrape has the rings that the reader has then.
func TestRings(t *testing.T) {
	collector := ringbufprom.NewCollector()
	registry := prometheus.NewPedanticRegistry()
	must(t, registry.Register(collector))
	reader := newReader(t, 1)
	must(t, collector.Add("all", reader))
	for _, samples := range []int{2, 3} {
		_, err := reader.Add(newRing(t, samples))
		must(t, err)
	}
	waiting := func(ring string) string {
		return scrape(t, registry, `reader="all",ring="`+ring+`"`)["ring_waiting_bytes"]
	}
	for ring, want := range map[string]string{"0": "32", "1": "64", "2": "96", "3": ""} {
		if got := waiting(ring); got != want {
			t.Errorf("ring %s has %q bytes instead of %q", ring, got, want)
		}
	}
	must(t, reader.Remove(1))
	for ring, want := range map[string]string{"0": "32", "1": "", "2": "96"} {
		if got := waiting(ring); got != want {
			t.Errorf("ring %s has %q bytes instead of %q", ring, got, want)
		}
	}
	if got := scrape(t, registry, `reader="all"`)["reader_rings"]; got != "2" {
		t.Errorf("%q rings", got)
	}
}

// A collector that NewCollector did not make works, and a name that Prometheus refuses is an error here:
// there it would be a panic of each scrape.
func TestZeroCollector(t *testing.T) {
	var collector ringbufprom.Collector
	registry := prometheus.NewRegistry()
	must(t, registry.Register(&collector))
	must(t, collector.Add("a \"name\" of é", newReader(t, 1)))
	if collector.Add("\xff", newReader(t, 1)) == nil {
		t.Error("a name that is no text is no error")
	}
	families, err := registry.Gather()
	must(t, err)
	if len(families) == 0 {
		t.Error("no metrics")
	}
}

// What is not known is left out, and what cannot be read is an error.
func TestUnknown(t *testing.T) {
	collector := ringbufprom.NewCollector()
	registry := prometheus.NewRegistry()
	must(t, registry.Register(collector))
	must(t, collector.Add("zero", new(ringbuf.Reader)))
	if _, err := registry.Gather(); err == nil || !strings.Contains(err.Error(), "NewReader") {
		t.Errorf("got %v", err)
	}
}

// Each number of the statistics is a metric, but for positions, which count bytes twice, and for what names a
// ring or a process.
func TestCompleteness(t *testing.T) {
	left := map[string]bool{"MapID": true, "ProducerPos": true, "ReadPos": true, "UserPos": true, "ConsumerPos": true,
		"StartPos": true, "PassedBytes": true, "FirstRing": true, "ReaderPID": true}
	descriptions := make(chan *prometheus.Desc, 100)
	ringbufprom.NewCollector().Describe(descriptions)
	fields := reflect.TypeFor[ringbuf.ReaderStats]().NumField() + reflect.TypeFor[ringbuf.RingStats]().NumField()
	if len(descriptions) != fields-len(left)+1 { // held_bytes is the difference of two
		t.Errorf("%d metrics of %d statistics", len(descriptions), fields)
	}
}
