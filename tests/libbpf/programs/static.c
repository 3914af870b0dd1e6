/* SPDX-License-Identifier: MIT */
/* Statically linked: runs as it would without rbcore-run. */
#include <stdlib.h>

int main(void) {
    return getenv("LD_PRELOAD") == NULL ? 5 : 6;
}
