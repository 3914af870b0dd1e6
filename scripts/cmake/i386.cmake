# Use this as CMAKE_TOOLCHAIN_FILE: it builds for i386: a 32-bit process, which 64-bit kernels run.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR i686)
set(CMAKE_C_COMPILER i686-linux-gnu-gcc)
set(CMAKE_C_FLAGS_INIT -Wno-psabi) # about compilers before gcc 11

# The libraries that the tests need: scripts/sysroot i386.
set(CMAKE_FIND_ROOT_PATH /usr/i686-linux-gnu)
set(sysroot ${CMAKE_CURRENT_LIST_DIR}/../../build/sysroot/i386)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${sysroot})
set(ENV{PKG_CONFIG_LIBDIR} ${sysroot}/usr/lib/i386-linux-gnu/pkgconfig)
