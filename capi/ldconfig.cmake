# Runs at the end of an installation: the dynamic linker is told of the library where it looks into
# the folder anyway (only root may), or the user is told what it needs. `libdir` and `library` are set.
cmake_path(ABSOLUTE_PATH libdir BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX})
find_program(ldconfig ldconfig PATHS /usr/sbin /sbin)
if(NOT "$ENV{DESTDIR}" STREQUAL "" OR NOT ldconfig)
  return()
endif()

# What ldconfig says, empty where there is another C library.
function(run_ldconfig result)
  execute_process(COMMAND ${ldconfig} ${ARGN} OUTPUT_VARIABLE output ERROR_QUIET)
  set(${result} "${output}" PARENT_SCOPE)
endfunction()

run_ldconfig(folders -N -v)
string(FIND "\n${folders}" "\n${libdir}:" looks_there)
if(looks_there EQUAL -1)
  message(STATUS "To run programs that are linked to ${library}: LD_LIBRARY_PATH=${libdir}, or link them with -Wl,-rpath,${libdir}")
  return()
endif()
run_ldconfig(ignored)
run_ldconfig(known -p)
string(FIND "${known}" "${libdir}/${library}" is_known)
if(is_known EQUAL -1)
  message(STATUS "To run programs that are linked to ${library}: ${ldconfig}, as root")
endif()
