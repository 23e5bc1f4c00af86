# Which LibTorch is built against: OUTCROP_LIBTORCH.
#   system  Debian's, everything in it: trains, quantizes, runs
#   lite    its mobile build, by script/libtorch-lite: runs only; what boards get
#   wheel   its project's own aarch64 wheel, by script/libtorch-wheel: runs only; to compare with
#   none    what links no LibTorch: agent, host, protocol
# Sets OUTCROP_RUNNER (it runs models) and OUTCROP_TRAINER (it makes them, which no board does).
set(OUTCROP_RUNNER ON)
set(OUTCROP_TRAINER OFF)
if(OUTCROP_LIBTORCH STREQUAL "system")
  if(NOT CMAKE_CROSSCOMPILING)
    set(OUTCROP_TRAINER ON)
  endif()
  # By hand: Debian's TorchConfig.cmake pulls in what we do not use.
  find_path(OUTCROP_TORCH_INCLUDE torch/csrc/jit/mobile/import.h REQUIRED)
  find_path(OUTCROP_TORCH_API_INCLUDE torch/torch.h PATH_SUFFIXES torch/csrc/api/include REQUIRED)
  find_library(OUTCROP_TORCH_LIBRARY torch REQUIRED)
  find_library(OUTCROP_TORCH_CPU_LIBRARY torch_cpu REQUIRED)
  find_library(OUTCROP_C10_LIBRARY c10 REQUIRED)
  set(includes ${OUTCROP_TORCH_INCLUDE} ${OUTCROP_TORCH_API_INCLUDE})
  set(libraries ${OUTCROP_TORCH_LIBRARY} ${OUTCROP_TORCH_CPU_LIBRARY} ${OUTCROP_C10_LIBRARY})
  set(definitions)
elseif(OUTCROP_LIBTORCH STREQUAL "lite")
  if(NOT OUTCROP_DEBIAN_ARCH)
    message(FATAL_ERROR "OUTCROP_LIBTORCH=lite is for boards: preset rpi-aarch64")
  endif()
  set(root ${PROJECT_SOURCE_DIR}/build/libtorch-lite/${OUTCROP_DEBIAN_ARCH})
  if(NOT EXISTS ${root}/lib/libtorch_cpu.so)
    message(FATAL_ERROR
      "no LibTorch at ${root}; script/libtorch-lite ${OUTCROP_DEBIAN_ARCH} makes it")
  endif()
  set(includes ${root}/include)
  set(OUTCROP_LITE_LIBRARIES ${root}/lib/libtorch_cpu.so ${root}/lib/libc10.so)
  set(libraries ${OUTCROP_LITE_LIBRARIES})
  # Its headers say what it was built as, and do not name its version.
  set(definitions C10_MOBILE BUILD_LITE_INTERPRETER OUTCROP_TORCH_VERSION="1.13.1-lite")
elseif(OUTCROP_LIBTORCH STREQUAL "wheel")
  if(NOT OUTCROP_DEBIAN_ARCH STREQUAL "arm64")
    message(FATAL_ERROR "OUTCROP_LIBTORCH=wheel is for 64-bit boards: preset rpi-aarch64-wheel")
  endif()
  set(root ${PROJECT_SOURCE_DIR}/build/libtorch-wheel/arm64)
  if(NOT EXISTS ${root}/lib/libtorch_cpu.so)
    message(FATAL_ERROR "no LibTorch at ${root}; script/libtorch-wheel fetches it")
  endif()
  set(includes ${root}/include ${root}/include/torch/csrc/api/include)
  # It brings OpenBLAS and OpenMP along, under names of its own.
  set(libraries ${root}/lib/libtorch_cpu.so ${root}/lib/libc10.so -Wl,-rpath-link,${root}/lib)
  set(definitions)
elseif(OUTCROP_LIBTORCH STREQUAL "none")
  set(OUTCROP_RUNNER OFF)
else()
  message(FATAL_ERROR
    "OUTCROP_LIBTORCH is '${OUTCROP_LIBTORCH}'; there are system, lite, wheel and none")
endif()

if(OUTCROP_RUNNER)
  add_library(outcrop_libtorch INTERFACE)
  # SYSTEM: LibTorch's headers do not pass our warnings.
  target_include_directories(outcrop_libtorch SYSTEM INTERFACE ${includes})
  target_compile_definitions(outcrop_libtorch INTERFACE ${definitions})
  target_link_libraries(outcrop_libtorch INTERFACE ${libraries})
endif()
