#include "protocol/base/unfinished_files.hpp"

#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

namespace outcrop {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view mark = ".tmp-";

bool is_unfinished(const std::string& name) {
  const auto at = name.rfind(mark);
  if (at == std::string::npos || at + mark.size() == name.size()) return false;
  return name.find_first_not_of("0123456789", at + mark.size()) == std::string::npos;
}

}  // namespace

fs::path unfinished_name(const fs::path& path) {
  fs::path name = path;
  name += std::string(mark) + std::to_string(::getpid());
  return name;
}

Status remove_unfinished_files(const fs::path& folder) {
  std::vector<fs::path> unfinished;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (is_unfinished(entry->path().filename().string())) unfinished.push_back(entry->path());
  }
  for (const fs::path& file : unfinished) {
    if (!error) fs::remove(file, error);
  }
  if (error) return fail(ErrorCode::io, "tidying " + folder.string() + ": " + error.message());
  return {};
}

}  // namespace outcrop
