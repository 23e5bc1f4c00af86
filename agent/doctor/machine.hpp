#pragma once

#include <filesystem>
#include <string_view>

#include "agent/doctor/finding.hpp"
#include "protocol/base/bytes.hpp"
#include "runtime/measure/machine_files.hpp"

namespace outcrop::agent {

// The checks of the machine itself, each by the kernel's files alone. What a file does not say is
// unknown; no content of a file is an error.

using runtime::MachineFiles;

// "Raspberry Pi 4 Model B Rev 1.5"; empty where nothing says it.
[[nodiscard]] std::string board_model(const MachineFiles& files);
[[nodiscard]] Finding check_board(const MachineFiles& files);

// `threads`: that a model is given.
[[nodiscard]] Finding check_cores(const MachineFiles& files, int threads);

// The instructions that LibTorch and XNNPACK live on. `engine_runs`: a runner was started here, so
// that what its LibTorch needs is there.
[[nodiscard]] Finding check_processor(const MachineFiles& files, bool engine_runs);

[[nodiscard]] Finding check_memory(const MachineFiles& files);

// The disk that holds the folder, or that would hold it. `reserve`: what pulls must leave free.
[[nodiscard]] Finding check_disk(const std::filesystem::path& folder, ByteCount reserve);
// How worn SD cards and eMMC say they are; nothing where there are none.
[[nodiscard]] Findings check_wear(const MachineFiles& files);

[[nodiscard]] Finding check_governor(const MachineFiles& files);
[[nodiscard]] Finding check_frequency(const MachineFiles& files);
[[nodiscard]] Finding check_temperature(const MachineFiles& files);
// A Raspberry Pi's only: nothing on a machine that is known to be another.
[[nodiscard]] Findings check_throttling(const MachineFiles& files);

// All of them.
[[nodiscard]] Findings check_machine(const MachineFiles& files, int threads, bool engine_runs);

}  // namespace outcrop::agent
