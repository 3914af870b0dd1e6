#: read.c release_against_empty_read
/^static int look_parked/,/^}/{
    /wait.parked, true/d
    s/^ *return result/    atomic_store(\&self->wait.parked, true);\
&/
}
