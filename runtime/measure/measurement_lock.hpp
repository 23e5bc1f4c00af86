#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop::runtime {

// One measurement at a time on a machine: agents, `outcrop bench` and a stage's end hold this
// lock while they measure, and whatever measures asks for it in its signature. An advisory lock
// on a file that every user may open; the kernel releases it when the holder dies.
class MeasurementLock {
 public:
  static constexpr const char* file_name = "outcrop-measure.lock";

  // Tries `folders` in order and locks the first that can hold a lock file. Waits at most
  // `patience` for another holder, then fails with timeout and the holder's process id where it
  // is known; with interrupted as soon as `stopped`, where given, says so. Do not call twice in one
  // process while holding: that waits for itself.
  [[nodiscard]] static Result<MeasurementLock> acquire(
      std::chrono::milliseconds patience,
      const std::vector<std::filesystem::path>& folders = default_folders(),
      const std::function<bool()>& stopped = {});

  // /run/lock, and /tmp where that is missing or not writable.
  [[nodiscard]] static std::vector<std::filesystem::path> default_folders();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  // Empty in the usual place; else a sentence that a report must show, since others who
  // measure may be looking elsewhere.
  [[nodiscard]] const std::string& note() const { return note_; }

 private:
  MeasurementLock(UniqueFd fd, std::filesystem::path path, std::string note);

  UniqueFd fd_;
  std::filesystem::path path_;
  std::string note_;
};

}  // namespace outcrop::runtime
