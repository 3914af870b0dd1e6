#: give_back.c commit_looks_again
/^static void look_again/,/^}/s/rbc_wait_wake\(wait\);/(void)wait;/
