#: give_back.c release_against_arming slow_worker.stretch
/^void rbc_ring_publish/,/^}/s/self->reader->is_release/false/
