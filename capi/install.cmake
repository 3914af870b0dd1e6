# What `cmake --install` puts where: headers, both libraries, a pkg-config file and a CMake package.
# Neither file names the prefix, so that an installed tree can be moved, and a prefix be chosen as
# late as by `cmake --install --prefix`.
include(CMakePackageConfigHelpers)

install(TARGETS rbcore rbcore_static EXPORT rbcoreTargets)
install(
  DIRECTORY ${PROJECT_SOURCE_DIR}/include/rbcore
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING
  PATTERN "*.h")
install(FILES snapshot-format.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/rbcore)
install(EXPORT rbcoreTargets NAMESPACE rbcore:: DESTINATION ${package_dir})
configure_package_config_file(rbcoreConfig.cmake.in rbcoreConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may break what was there before.
write_basic_package_version_file(rbcoreConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/rbcoreConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/rbcoreConfigVersion.cmake DESTINATION ${package_dir})

# A library folder that was given as an absolute path does not move with the prefix.
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
  set(pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
  file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  string(REGEX REPLACE "/$" "" up ${up})
  set(pc_prefix "\${pcfiledir}/${up}")
endif()
cmake_path(APPEND pc_libdir "\${prefix}" ${CMAKE_INSTALL_LIBDIR})
cmake_path(APPEND pc_includedir "\${prefix}" ${CMAKE_INSTALL_INCLUDEDIR})
configure_file(rbcore.pc.in rbcore.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/rbcore.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# After all else: whether programs find the library.
if(NOT CMAKE_CROSSCOMPILING)
  install(CODE "set(libdir [[${CMAKE_INSTALL_LIBDIR}]])\nset(library $<TARGET_SONAME_FILE_NAME:rbcore>)")
  install(SCRIPT ldconfig.cmake)
endif()
