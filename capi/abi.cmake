# checkabi: fails if librbcore.so's ABI differs in any way from the stored one, capi/abi/.
# storeabi: stores the ABI of the library as it was built here.
set(abi_tool ${CMAKE_CURRENT_SOURCE_DIR}/abi/abi.sh)
set(abi_arguments $<TARGET_FILE:rbcore> ${PROJECT_SOURCE_DIR}/include
                  ${CMAKE_CURRENT_SOURCE_DIR}/abi/librbcore.abi)

foreach(action check store)
  add_custom_target(
    ${action}abi
    COMMAND sh ${abi_tool} ${action} ${abi_arguments}
    DEPENDS rbcore
    VERBATIM)
endforeach()

if(RBCORE_ALL_TESTS)
  if(RBCORE_SANITIZE)
    set(abi_command sh -c "echo 'skipped: a sanitizer build is not what is shipped' && exit 77")
  elseif(CMAKE_CROSSCOMPILING)
    set(abi_command sh -c "echo 'skipped: the stored ABI is of another processor' && exit 77")
  else()
    set(abi_command sh ${abi_tool} check ${abi_arguments})
  endif()
  add_test(NAME checkabi COMMAND ${abi_command})
  set_tests_properties(checkabi PROPERTIES LABELS abi SKIP_RETURN_CODE 77 TIMEOUT 60)
endif()
