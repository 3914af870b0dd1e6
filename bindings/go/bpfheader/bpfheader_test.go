// SPDX-License-Identifier: MIT

package bpfheader

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const program = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <rbcore/rbcore_bpf.h>
RBCORE_RING(events, 65536);
SEC("socket")
int count(void *context) {
    void *record = rbcore_reserve(events, 8);
    if (record)
        rbcore_submit(record, 0);
    return 0;
}
`

// compiles compiles a BPF program that has the header, with the folder in its path.
func compiles(t *testing.T, dir string) {
	t.Helper()
	if !has(dir) {
		t.Fatalf("%s has not the header", dir)
	}
	for _, needed := range []string{"/usr/include/bpf/bpf_helpers.h", "/usr/include/linux/bpf.h"} {
		if _, err := os.Stat(needed); err != nil {
			t.Skipf("skipped: %v", err)
		}
	}
	clang, err := exec.LookPath("clang")
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	source := filepath.Join(t.TempDir(), "program.bpf.c")
	if err := os.WriteFile(source, []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	machines, _ := filepath.Glob("/usr/include/*-linux-gnu")
	options := []string{"-target", "bpf", "-O2", "-Wall", "-Werror", "-c", source, "-o", source + ".o", "-I" + dir}
	for _, machine := range machines {
		options = append(options, "-I"+machine)
	}
	if output, err := exec.Command(clang, options...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

func TestDir(t *testing.T) {
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	compiles(t, dir)
}

// A program that was built with -trimpath, or elsewhere, does not know where its source is.
func TestWithoutSource(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	for _, source := range []string{"github.com/rbcore/rbcore/bindings/go/bpfheader/bpfheader.go", "/none/bpfheader.go"} {
		dir, err := dirOf(source)
		if err != nil || !strings.HasPrefix(dir, cache) {
			t.Fatalf("got %q, %v instead of a folder in %s", dir, err, cache)
		}
		compiles(t, dir)
	}
	t.Setenv("XDG_CACHE_HOME", "relative")
	if dir, err := dirOf(""); err == nil {
		t.Fatalf("got %q, though there is no cache", dir)
	}
}

// The folder in the cache is filled once, and again if it is damaged.
func TestFill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	var group sync.WaitGroup
	for range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			if got, err := fill(dir); got != dir || err != nil {
				t.Error(got, err)
			}
		}()
	}
	group.Wait()
	if err := os.WriteFile(file(dir), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := fill(dir); got != dir || err != nil || !has(dir) {
		t.Fatal(got, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	if _, err := fill(filepath.Join(os.DevNull, "none")); err == nil {
		t.Fatal("no error where nothing can be written")
	}
}
