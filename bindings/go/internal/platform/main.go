// SPDX-License-Identifier: MIT

// Command platform checks the types of a package and its tests as they are for another platform, without
// cgo: platform GOOS/GOARCH FOLDER. It reads the standard library's source, where a build would compile it.
package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 3 || !strings.Contains(os.Args[1], "/") {
		fmt.Fprintln(os.Stderr, "platform GOOS/GOARCH FOLDER")
		os.Exit(2)
	}
	system, processor, _ := strings.Cut(os.Args[1], "/")
	// What the importer of sources goes by.
	build.Default.GOOS, build.Default.GOARCH, build.Default.CgoEnabled = system, processor, false
	if err := check(os.Args[2], processor); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(folder, processor string) error {
	found, err := build.ImportDir(folder, 0)
	if err != nil {
		return err
	}
	files := token.NewFileSet()
	into := &imports{source: importer.ForCompiler(files, "source", nil)}
	into.config = types.Config{Importer: into, Sizes: types.SizesFor("gc", processor)}
	inside, err := parse(files, folder, append(found.GoFiles, found.TestGoFiles...))
	if err != nil {
		return err
	}
	if into.own, err = into.config.Check(found.Name, files, inside, nil); err != nil {
		return err
	}
	outside, err := parse(files, folder, found.XTestGoFiles)
	if err == nil && len(outside) > 0 {
		_, err = into.config.Check(found.Name+"_test", files, outside, nil)
	}
	return err
}

func parse(files *token.FileSet, folder string, names []string) ([]*ast.File, error) {
	var parsed []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(files, filepath.Join(folder, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, file)
	}
	return parsed, nil
}

// imports finds what tests outside of the package import: the package, and the standard library.
type imports struct {
	source types.Importer
	config types.Config
	own    *types.Package
}

func (i *imports) Import(path string) (*types.Package, error) {
	if strings.HasPrefix(path, "github.com/rbcore/") {
		return i.own, nil
	}
	return i.source.Import(path)
}
