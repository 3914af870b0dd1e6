#: read.c submit_against_empty_read
/^static int look_and_arm/,/^}/{
    /empty_fd/d
    s/int result = look_parked.*/&\
    empty_fd(self, what);/
}
