#: live.c overtaken_while_copying
/^uint64_t rbc_live_copy/,/^}/s/return rbc_live_sound\(self, from\);/return from;/
