# rbcore_bpf_skeleton(NAME SOURCE): compiles the BPF program SOURCE and makes an interface library
# NAME, to link against: it gives the header NAME.skel.h (bpftool's skeleton) and libbpf.
#
# RBCORE_BPF_MISSING names the packages that this machine lacks for it, or is empty.
find_program(RBCORE_CLANG NAMES clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14)
find_program(RBCORE_BPFTOOL NAMES bpftool PATHS /usr/sbin)
# This is the processor's include folder: linux/bpf.h needs it, and clang does not look for it when
# it compiles for BPF.
find_path(RBCORE_ASM_INCLUDE asm/types.h)
find_package(PkgConfig QUIET)
set(RBCORE_BPF_MISSING "")
if(PKG_CONFIG_FOUND)
  pkg_check_modules(LIBBPF QUIET IMPORTED_TARGET libbpf>=1.0)
else()
  list(APPEND RBCORE_BPF_MISSING pkg-config)
endif()

# rbcore_works(RESULT TOOL ARGUMENT...): tells whether it is there and does that. Ubuntu's bpftool
# is a script that may lack the one for this kernel, and a clang may have been built without BPF.
function(rbcore_works result tool)
  set(status 1)
  if(tool)
    execute_process(COMMAND ${tool} ${ARGN} RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
  endif()
  set(works FALSE)
  if(status EQUAL 0)
    set(works TRUE)
  endif()
  set(${result} ${works} PARENT_SCOPE)
endfunction()
rbcore_works(clang_works ${RBCORE_CLANG} -target bpf -x c -c /dev/null
             -o ${CMAKE_CURRENT_BINARY_DIR}/empty.bpf.o)
rbcore_works(bpftool_works ${RBCORE_BPFTOOL} version)

if(NOT clang_works)
  list(APPEND RBCORE_BPF_MISSING clang)
endif()
if(NOT bpftool_works)
  list(APPEND RBCORE_BPF_MISSING bpftool)
endif()
if(NOT LIBBPF_FOUND)
  list(APPEND RBCORE_BPF_MISSING libbpf-dev)
endif()

function(rbcore_bpf_skeleton name source)
  get_filename_component(source ${source} ABSOLUTE)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  set(directory ${CMAKE_CURRENT_BINARY_DIR}/${name}.skeleton)
  set(skeleton ${directory}/${name}.skel.h)
  file(MAKE_DIRECTORY ${directory})
  add_custom_command(
    OUTPUT ${object}
    COMMAND
      ${RBCORE_CLANG} -target bpf -g -O2 -mcpu=v3 -Wall -Wextra ${RBCORE_WERROR_OPTION}
      -I${PROJECT_SOURCE_DIR}/include -isystem ${RBCORE_ASM_INCLUDE}
      -MD -MF ${object}.d -c ${source} -o ${object}
    DEPENDS ${source}
    DEPFILE ${object}.d
    VERBATIM)
  add_custom_command(
    OUTPUT ${skeleton}
    COMMAND ${RBCORE_BPFTOOL} gen skeleton ${object} name ${name} > ${skeleton}
    DEPENDS ${object}
    VERBATIM)
  add_custom_target(${name}_skeleton DEPENDS ${skeleton})
  add_library(${name} INTERFACE)
  add_dependencies(${name} ${name}_skeleton)
  target_include_directories(${name} SYSTEM INTERFACE ${directory})
  target_link_libraries(${name} INTERFACE PkgConfig::LIBBPF)
endfunction()
