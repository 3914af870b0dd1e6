#: give_back.c release_against_release
s/while \(!atomic_compare_exchange_strong\(&self->advancing, &seen, 0\)\)/while (atomic_exchange(\&self->advancing, 0) == 0)/
