#: read.c release_against_empty_read slow_parking.stretch x86_64
/^static int look_parked/,/^}/s/rbc_full_fence\(\);//
