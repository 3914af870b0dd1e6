#: read.c armed_ring_wakes
/^static void change_pace/,/^}/s/rbc_ring_publish\(ring\);//
