#pragma once

#include <filesystem>
#include <string>

namespace outcrop::runtime {

// For which processor a program is, by the head of its file: "x86-64", "aarch64", "arm"; "ELF
// machine 243" for one that is not known here; empty where the file is no ELF program or cannot be
// read.
[[nodiscard]] std::string architecture_of(const std::filesystem::path& program);

// For which processor this very program is.
[[nodiscard]] std::string own_architecture();

}  // namespace outcrop::runtime
