#: reader.c interrupt_against_empty_read slow_asker.stretch
/^static int ask\(/,/^}/{
    /atomic_fetch_or_explicit/d
    s/^ *return 0;/    atomic_fetch_or_explicit(\&self->asked, what, memory_order_release);\
&/
}
