# Every library comes from Debian 12; script/bootstrap installs them.
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(CLI11 REQUIRED)
find_path(OUTCROP_EXPECTED_INCLUDE tl/expected.hpp REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
find_package(Boost 1.74 REQUIRED)  # Asio and Beast: headers only
find_package(SQLite3 REQUIRED)
find_package(spdlog REQUIRED)
find_path(OUTCROP_PAHO_INCLUDE mqtt/async_client.h REQUIRED)
find_library(OUTCROP_PAHO_CPP_LIBRARY paho-mqttpp3 REQUIRED)
find_library(OUTCROP_PAHO_C_LIBRARY paho-mqtt3as REQUIRED)
if(OUTCROP_TESTS)
  find_package(GTest REQUIRED)
endif()

# LibTorch by hand: Debian's TorchConfig.cmake pulls in what we do not use, and
# LibTorch's mobile build has no such file at all.
if(OUTCROP_WITH_TORCH)
  find_path(OUTCROP_TORCH_INCLUDE torch/csrc/jit/mobile/import.h REQUIRED)
  find_path(OUTCROP_TORCH_API_INCLUDE torch/torch.h PATH_SUFFIXES torch/csrc/api/include REQUIRED)
  find_library(OUTCROP_TORCH_LIBRARY torch REQUIRED)
  find_library(OUTCROP_TORCH_CPU_LIBRARY torch_cpu REQUIRED)
  find_library(OUTCROP_C10_LIBRARY c10 REQUIRED)
  add_library(outcrop_libtorch INTERFACE)
  # SYSTEM: LibTorch's headers do not pass our warnings.
  target_include_directories(outcrop_libtorch SYSTEM INTERFACE
    ${OUTCROP_TORCH_INCLUDE} ${OUTCROP_TORCH_API_INCLUDE})
  target_link_libraries(outcrop_libtorch INTERFACE
    ${OUTCROP_TORCH_LIBRARY} ${OUTCROP_TORCH_CPU_LIBRARY} ${OUTCROP_C10_LIBRARY})
endif()
