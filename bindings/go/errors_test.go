//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each text that an error can have is one sentence, and says what was tried.
func TestCauses(t *testing.T) {
	for _, cause := range causes {
		if cause.text == "" || strings.Contains(cause.text, ". ") || strings.HasSuffix(cause.text, ".") {
			t.Errorf("%s, %v: not one sentence: %q", cause.function, cause.errno, cause.text)
		}
	}
	sources, err := filepath.Glob("*.go")
	if err != nil || len(sources) == 0 {
		t.Fatal(sources, err)
	}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range regexp.MustCompile(`(?:failure|use|reserve)\("(rbcore_\w+)"`).FindAllSubmatch(text, -1) {
			if operations[string(call[1])] == "" {
				t.Errorf("%s: %s has no name for what was tried", source, call[1])
			}
		}
	}
}

// The library's own messages come in words of this package, too.
func TestMessageWords(t *testing.T) {
	got := words.Replace("loss_fd 7: no; see RBCORE_SOURCE_OVERWRITE")
	if got != "the loss map, descriptor 7: no; see WithOverwrite" {
		t.Errorf("got %q", got)
	}
}
