#pragma once

#include <filesystem>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::fleet {

// A copy of a state folder that is one itself, made while outcropd works in it or not: database as
// of one moment and of the schema that it has, every blob (copies, by reference where the file
// system can: what happens to one leaves the other as it is), the history, the broker's certificates. Appears
// whole under its name or not at all; already_exists where the name is taken. Returns the blobs
// that are damaged and were left out: their releases are to be published again. The online keys and
// host.toml are not in the state folder: back them up as well.
[[nodiscard]] Result<std::vector<std::filesystem::path>> back_up_state(
    const std::filesystem::path& state, const std::filesystem::path& to);

}  // namespace outcrop::fleet
