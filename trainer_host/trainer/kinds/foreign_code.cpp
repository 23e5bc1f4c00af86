#include "trainer_host/trainer/kinds/foreign_code.hpp"

#include "protocol/base/lies_in.hpp"
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

// What a run of ours leaves in its folder first.
bool is_vacant_or_ours(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error) || fs::is_empty(folder, error)) return true;
  for (const char* mark : {".lock", "checkpoint", "training.csv", "quantization_performance.csv",
                           "quantization.json", "evaluation.json", "metrics.json", "export.json"}) {
    if (fs::exists(folder / mark, error)) return true;
  }
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto extension = entry.path().extension();
    if (extension == ".weights" || extension == ".ptl") return true;
  }
  return false;
}

// Others' code may change whatever lies there.
Status check_writable_by_others(const fs::path& folder, const std::vector<fs::path>& read) {
  const auto refuse = [&](const std::string& why) {
    return fail(ErrorCode::invalid_argument,
                "output into " + folder.string() + " would let what others made change " + why +
                    ": name a new or empty folder, or one of an earlier run");
  };
  std::error_code error;
  const fs::path real = fs::weakly_canonical(folder, error);
  if (error) return fail(ErrorCode::io, "output into " + folder.string() + ": " + error.message());
  for (const fs::path& path : read) {
    const fs::path named = fs::weakly_canonical(path, error);
    if (!error && lies_in(named, real)) return refuse(path.string());
  }
  if (!is_vacant_or_ours(real)) return refuse("files that are no output of ours");
  return {};
}

}  // namespace

Status enclose(const Kind& kind, std::vector<fs::path> read, std::vector<fs::path> write,
               bool allow_reduced) {
  if (!kind.made_by_others()) return {};
  for (const fs::path& folder : write) {
    OUTCROP_CHECK(check_writable_by_others(folder, read));
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return fail(ErrorCode::io, "making " + folder.string() + ": " + error.message());
  }
  // What is named and not there is said by whoever wants it.
  std::erase_if(read, [](const fs::path& path) {
    std::error_code error;
    return !fs::exists(path, error);
  });
  for (const fs::path& file : lock_files()) read.push_back(file);  // to lock it needs no writing
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
