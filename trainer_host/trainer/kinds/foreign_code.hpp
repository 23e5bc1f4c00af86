#pragma once

#include <filesystem>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop::kinds {

// Before a model of `kind` is opened: where others made it, gives up everything but these files and
// folders, to be read and to be written (runtime/runner/folder_jail.hpp). The program begins anew,
// with the same arguments, and returns from here the second time. A folder to be written is made;
// invalid_argument where one of the files lies in it, or anything that is no output of ours.
// unsupported where this machine cannot do that, unless `allow_reduced`, which is said.
[[nodiscard]] Status enclose(const Kind& kind, std::vector<std::filesystem::path> read,
                             std::vector<std::filesystem::path> write, bool allow_reduced);

// The same, for the kind that a file of weights or a checkpoint names; open_trained() then opens it.
[[nodiscard]] Status enclose_for(const std::filesystem::path& weights, const Register& kinds,
                                 std::vector<std::filesystem::path> read,
                                 std::vector<std::filesystem::path> write, bool allow_reduced);

// Whether enclose() was gone through here, for a kind made by others.
[[nodiscard]] bool is_enclosed();

}  // namespace outcrop::kinds
