//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// Each text that an error can have is one short sentence, and says what was tried.
func TestCauses(t *testing.T) {
	for _, cause := range causes {
		text := cause.text
		switch {
		case text == "", strings.ContainsAny(text, ";.\n"), len(text) > 100:
			t.Errorf("%s, %v: not one short sentence: %q", cause.function, cause.errno, text)
		case text != strings.TrimSpace(text), strings.ToLower(text[:1]) != text[:1] && !strings.HasPrefix(text, "With"):
			t.Errorf("%s, %v: not to be read within a sentence: %q", cause.function, cause.errno, text)
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

// The system's words for an errno stand in an error once, wherever the library has them.
func TestNothingIsSaidTwice(t *testing.T) {
	for why, want := range map[string]string{
		"fd 7: Bad file descriptor": "ringbuf: open: fd 7 (bad file descriptor)",
		"Bad file descriptor":       "ringbuf: open (bad file descriptor)",
		"fd 7 is none":              "ringbuf: open: fd 7 is none (bad file descriptor)",
	} {
		if err := failed("open", why, syscall.EBADF); err.Error() != want || !errors.Is(err, syscall.EBADF) {
			t.Errorf("got %q instead of %q", err, want)
		}
	}
}
