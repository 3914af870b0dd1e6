/* SPDX-License-Identifier: MIT */
/* Does not compile where the drop-in declares a function otherwise than this machine's libbpf. */
#include <bpf/libbpf.h>

#include "../../bindings/libbpf/libbpf_api.h"
