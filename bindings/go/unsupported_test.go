//go:build !linux || !cgo

// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"errors"
	"testing"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

func TestUnsupported(t *testing.T) {
	if _, err := ringbuf.NewReader(nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("NewReader: %v", err)
	}
	if has, err := ringbuf.Supports(ringbuf.FeatureMemoryRing); has || err != nil {
		t.Errorf("Supports: %v, %v", has, err)
	}
	if _, err := ringbuf.NewMemoryRing(4096); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("NewMemoryRing: %v", err)
	}
	if _, err := ringbuf.NewProducer(nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("NewProducer: %v", err)
	}
}
