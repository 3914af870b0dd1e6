# rbcore_warnings(TARGET): the warnings that all of this project's C code is held to.
function(rbcore_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes
                                           -Wmissing-prototypes -Wpointer-arith -Wcast-qual
                                           -Wvla -Wformat=2)
endfunction()
