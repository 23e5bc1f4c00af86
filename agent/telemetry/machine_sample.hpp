#pragma once

#include <filesystem>

#include "protocol/messages/telemetry.hpp"
#include "runtime/measure/machine_files.hpp"

namespace outcrop::agent {

// Fills in what the kernel says of the machine now, and how much is free of the disk that holds `folder`; what
// cannot be read is none.
void sample_machine(const runtime::MachineFiles& files, const std::filesystem::path& folder,
                    messages::Telemetry& into);

}  // namespace outcrop::agent
