#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "protocol/base/error.hpp"

namespace outcrop::train {

// What stands in an output folder is somebody's work: looked at before a run trains into it, so that
// nothing is overwritten and no stage is trained that could not be kept.

// For a run that begins. already_exists, naming what is there and the ways on, where the folder holds
// an earlier training without its checkpoint. `replace`: the user gives that up, but for stages that
// are finished (stage<N>, or a release of it): they may have been released.
[[nodiscard]] Status check_room_for_new_run(const std::filesystem::path& out,
                                            const std::string& model, bool replace);

// For a run that goes on after stage `finished`: already_exists where a later one is finished there.
[[nodiscard]] Status check_room_after(const std::filesystem::path& out, const std::string& model,
                                      std::int64_t finished);

// For a run that goes on from a checkpoint of another place, with this table of epochs:
// already_exists where the training.csv there is that of another training.
[[nodiscard]] Status check_same_curve(const std::filesystem::path& out, const std::string& table);

// Bounds what a run leaves on disk: of the stages of `model` up to `newest` removes all but the last `keep` (0: none is
// removed): stage<N>, <model>_stage<N>.weights and releases/<model>-stage<N>. The newest release stays, whatever its stage:
// the next one descends from it. What a kill leaves of it, the next call removes. io names what cannot be removed.
[[nodiscard]] Status remove_old_stages(const std::filesystem::path& out, const std::string& model,
                                       std::int64_t newest, std::int64_t keep);

}  // namespace outcrop::train
