#include "trainer_host/trainer/kinds/foreign_code.hpp"

#include "runtime/measure/measurement_lock.hpp"
#include "runtime/runner/folder_jail.hpp"

namespace outcrop::kinds {
namespace fs = std::filesystem;
namespace {

bool enclosed = false;

// Whoever measures holds one of them, whatever it may do besides.
std::vector<fs::path> lock_files() {
  // Makes one where there is none yet; that another holds it is as good.
  const auto lock = runtime::MeasurementLock::acquire(std::chrono::milliseconds(0));
  std::vector<fs::path> files;
  for (const fs::path& folder : runtime::MeasurementLock::default_folders()) {
    const fs::path file = folder / runtime::MeasurementLock::file_name;
    std::error_code error;
    if (fs::is_regular_file(file, error)) files.push_back(file);
  }
  return files;
}

}  // namespace

Status enclose(const Kind& kind, std::vector<fs::path> read, std::vector<fs::path> write,
               bool allow_reduced) {
  if (!kind.made_by_others()) return {};
  for (const fs::path& folder : write) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return fail(ErrorCode::io, "making " + folder.string() + ": " + error.message());
  }
  // What is named and not there is said by whoever wants it.
  std::erase_if(read, [](const fs::path& path) {
    std::error_code error;
    return !fs::exists(path, error);
  });
  for (const fs::path& file : lock_files()) write.push_back(file);
  OUTCROP_CHECK(runtime::go_on_in_jail({std::move(read), std::move(write), {}}, allow_reduced));
  enclosed = true;
  return {};
}

Status enclose_for(const fs::path& weights, const Register& kinds, std::vector<fs::path> read,
                   std::vector<fs::path> write, bool allow_reduced) {
  OUTCROP_TRY(name, models::kind_named_in(weights));
  OUTCROP_TRY(kind, kinds.find(name));
  return enclose(*kind, std::move(read), std::move(write), allow_reduced);
}

bool is_enclosed() {
  return enclosed;
}

}  // namespace outcrop::kinds
