# rbcore_warnings(TARGET): the warnings that all of this project's C code is held to. They are errors
# only where that is asked for, as by the presets: compilers to come will warn of more.
set(RBCORE_WERROR_OPTION "")
if(RBCORE_WERROR)
  set(RBCORE_WERROR_OPTION -Werror)
endif()

function(rbcore_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wstrict-prototypes
                                           -Wmissing-prototypes -Wpointer-arith -Wcast-qual
                                           -Wvla -Wformat=2 ${RBCORE_WERROR_OPTION})
endfunction()

# rbcore_library_warnings(TARGET): those, and more for what is compiled in other people's projects.
function(rbcore_library_warnings target)
  rbcore_warnings(${target})
  target_compile_options(${target} PRIVATE -Wsign-conversion)
  if(CMAKE_SIZEOF_VOID_P EQUAL 8) # where sizes are as wide as positions
    target_compile_options(${target} PRIVATE -Wconversion)
  endif()
endfunction()
