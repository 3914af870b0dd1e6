#: read.c submit_against_empty_read
/^static int look_and_arm/,/^}/{
    /rbc_wait_drain/d
    s/int result = look_parked.*/&\
    rbc_wait_drain(\&self->wait);/
}
