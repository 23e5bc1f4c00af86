# 64-bit boards (Raspberry Pi 3, 4, 5 with a 64-bit OS), built on this machine by Debian's cross compiler
# against build/sysroot/arm64 (script/sysroot arm64).
set(OUTCROP_DEBIAN_ARCH arm64)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(OUTCROP_QEMU qemu-aarch64-static)
# A Raspberry Pi 4; OUTCROP_QEMU_CPU=cortex-a76 is a Raspberry Pi 5. Without a name qemu emulates everything
# that ARM has, at a twentieth of the speed.
set(OUTCROP_QEMU_CPU_DEFAULT cortex-a72)
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)
