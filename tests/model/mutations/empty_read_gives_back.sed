#: read.c empty_read_gives_nothing_back
/^int rbcore_reader_read/,/^}/s/return result != 0/if (result == 0) rbcore_reader_commit(self, NULL, 0);\
&/
