#: give_back.c commit_against_submit slow_stores.stretch x86_64
/^static void look_again/,/^}/s/rbc_full_fence\(\);//
