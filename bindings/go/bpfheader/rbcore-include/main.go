// SPDX-License-Identifier: MIT

// rbcore-include prints the folder that has rbcore/rbcore_bpf.h, for the option -I of clang and bpf2go.
package main

import (
	"fmt"
	"log"

	"github.com/rbcore/rbcore/bindings/go/bpfheader"
)

func main() {
	dir, err := bpfheader.Dir()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(dir)
}
