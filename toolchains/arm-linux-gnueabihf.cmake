# 32-bit boards (ARMv7 and up with Debian's armhf), built on this machine by Debian's cross compiler
# against build/sysroot/armhf (script/sysroot armhf).
set(OUTCROP_DEBIAN_ARCH armhf)
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(CMAKE_LIBRARY_ARCHITECTURE arm-linux-gnueabihf)
set(OUTCROP_QEMU qemu-arm-static)
set(OUTCROP_QEMU_CPU_DEFAULT cortex-a15)
# GCC remarks at each call that such arguments were passed otherwise before GCC 7.1.
set(CMAKE_CXX_FLAGS_INIT -Wno-psabi)
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)
