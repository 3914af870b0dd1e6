//go:build linux && cgo

// SPDX-License-Identifier: MIT

package kernel

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	cilium "github.com/cilium/ebpf/ringbuf"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// build builds the program moving with its import of cilium's reader replaced.
func build(t *testing.T, path string) string {
	t.Helper()
	program, err := filepath.Abs("moving/main.go")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	const theirs = `"github.com/cilium/ebpf/ringbuf"`
	if strings.Count(string(source), theirs) != 1 {
		t.Fatal("the program must import cilium's reader once")
	}
	folder := t.TempDir()
	moved, overlay, binary := folder+"/main.go", folder+"/overlay.json", folder+"/moving"
	source = []byte(strings.Replace(string(source), theirs, path, 1))
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{program: moved}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{moved: source, overlay: replace} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	output, err := exec.Command("go", "build", "-buildvcs=false", "-overlay", overlay, "-o", binary, "./moving").
		CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return binary
}

// runMoving runs it on a ring with some records, and returns what it printed.
func runMoving(t *testing.T, binary string) string {
	t.Helper()
	source := newKernelSource(t, os.Getpagesize()).(*kernelSource)
	for i := range 5 {
		if done, err := source.Produce(fmt.Appendf(nil, "record %d", i), 0); err != nil || !done {
			t.Fatal("produce:", done, err)
		}
		if i == 2 {
			if err := source.Discard(); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, binary)
	ring, err := syscall.Dup(source.FD())
	if err != nil {
		t.Fatal(err)
	}
	command.Stdin = os.NewFile(uintptr(ring), "ring")
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return string(output)
}

// A program that moves here from cilium's reader changes one import, and does what it did.
func TestMovingFromCilium(t *testing.T) {
	newKernelSource(t, os.Getpagesize()) // or skip
	before := runMoving(t, build(t, `"github.com/cilium/ebpf/ringbuf"`))
	after := runMoving(t, build(t, `ringbuf "github.com/rbcore/rbcore/bindings/go"`))
	if before != after {
		t.Errorf("by cilium's reader:\n%s\nby this one:\n%s", before, after)
	}
}

// Each method of cilium's reader is there, also one of a later version.
func TestMethodsOfCilium(t *testing.T) {
	theirs, ours := reflect.TypeFor[*cilium.Reader](), reflect.TypeFor[*ringbuf.Reader]()
	for i := range theirs.NumMethod() {
		name := theirs.Method(i).Name
		method, has := ours.MethodByName(name)
		if !has {
			t.Errorf("there is no method %s", name)
			continue
		}
		want := strings.ReplaceAll(theirs.Method(i).Type.String(), "*ringbuf.Reader, ", "")
		if got := strings.ReplaceAll(method.Type.String(), "*ringbuf.Reader, ", ""); got != want {
			t.Errorf("method %s is %s instead of %s", name, got, want)
		}
	}
}
