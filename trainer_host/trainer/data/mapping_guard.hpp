#pragma once

#include <cstddef>
#include <filesystem>

namespace outcrop::data {

// Reading a mapped file that was shortened meanwhile, or whose disk fails, is no error that a
// function could return: the process gets SIGBUS. In a guarded mapping that ends the process with
// a message that names the file, and exit code 1; no value is made up, and what was written before
// (checkpoints, releases) stands. SIGBUS anywhere else does what it always does.
// From any thread.

void guard_mapping(const void* begin, std::size_t size, const std::filesystem::path& path);
// Before it is unmapped: the range may be another's then.
void release_mapping(const void* begin);

}  // namespace outcrop::data
