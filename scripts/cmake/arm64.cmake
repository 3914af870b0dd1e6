# Use this as CMAKE_TOOLCHAIN_FILE: it builds for arm64, and runs what was built under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)

# The libraries that the tests need: scripts/sysroot arm64.
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(sysroot ${CMAKE_CURRENT_LIST_DIR}/../../build/sysroot/arm64)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${sysroot})
set(ENV{PKG_CONFIG_LIBDIR} ${sysroot}/usr/lib/aarch64-linux-gnu/pkgconfig)
