#include "protocol/base/vacant_folder.hpp"

#include <string>
#include <string_view>

namespace outcrop {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view filling_name = ".incomplete";

bool has_other_entries(const fs::path& folder, std::error_code& error) {
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    // What is half filled begins with a dot, as does what file managers leave.
    if (name != "lost+found" && !name.starts_with('.')) return true;
  }
  return false;
}

}  // namespace

bool is_vacant(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return true;
  return fs::is_directory(path, error) && !has_other_entries(path, error) && !error;
}

fs::path filling_place(const fs::path& final_path, const fs::path& beside) {
  std::error_code error;
  return fs::is_directory(final_path, error) ? final_path / filling_name : beside;
}

}  // namespace outcrop
