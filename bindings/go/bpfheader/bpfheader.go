// SPDX-License-Identifier: MIT

// Package bpfheader has rbcore_bpf.h, a header with which BPF programs count lost records for a reader. It
// tells bpf2go where the header is:
//
//	//go:generate sh -c "go tool bpf2go Events events.bpf.c -- -I$(go tool rbcore-include)"
//
// The BPF program then says #include <rbcore/rbcore_bpf.h>. The tools become part of a module by
//
//	go get -tool github.com/cilium/ebpf/cmd/bpf2go
//	go get -tool github.com/rbcore/rbcore/bindings/go/bpfheader/rbcore-include
package bpfheader

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

//go:embed include/rbcore/rbcore_bpf.h
var header []byte

// Dir is the folder for the compiler's option -I. It is in this package's source. Where the source is not on
// this machine, as with -trimpath, it is in the user's cache (os.UserCacheDir), and Dir fills it.
func Dir() (string, error) {
	_, source, _, _ := runtime.Caller(0)
	return dirOf(source)
}

// dirOf is Dir, for a package with its source where the compiler has seen it.
func dirOf(source string) (string, error) {
	dir := filepath.Join(filepath.Dir(source), "include")
	if has(dir) {
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("bpfheader: no folder for the header: %w", err)
	}
	return fill(filepath.Join(cache, "rbcore", fmt.Sprintf("%.6x", sha256.Sum256(header))))
}

func file(dir string) string {
	return filepath.Join(dir, "rbcore", "rbcore_bpf.h")
}

func has(dir string) bool {
	found, err := os.ReadFile(file(dir))
	return filepath.IsAbs(dir) && err == nil && bytes.Equal(found, header)
}

// fill writes the header. Other processes that do so at the same time see the whole file or none.
func fill(dir string) (string, error) {
	if has(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Join(dir, "rbcore"), 0o755); err != nil {
		return "", fmt.Errorf("bpfheader: %w", err)
	}
	temporary, err := os.CreateTemp(dir, "rbcore_bpf.h.*")
	if err != nil {
		return "", fmt.Errorf("bpfheader: %w", err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(header)
	if closed := temporary.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temporary.Name(), file(dir))
	}
	if err != nil {
		return "", fmt.Errorf("bpfheader: %w", err)
	}
	return dir, nil
}
