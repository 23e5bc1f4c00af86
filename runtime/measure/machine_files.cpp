#include "runtime/measure/machine_files.hpp"

#include <fcntl.h>
#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>

#include "protocol/base/unique_fd.hpp"

namespace outcrop::runtime {
namespace {

constexpr std::size_t most_bytes = std::size_t{1} << 20;

bool is_text(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](unsigned char c) {
    return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t';
  });
}

// The root is a path, not a pattern.
std::string escaped(const std::string& path) {
  std::string result;
  for (const char c : path) {
    if (std::string_view("*?[]\\").find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

}  // namespace

std::optional<std::string> MachineFiles::text(const std::filesystem::path& file) const {
  const UniqueFd fd(::open((root_ / file).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return std::nullopt;
  std::string bytes;
  std::array<char, 4096> part{};
  for (;;) {
    const ssize_t count = ::read(fd.get(), part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) break;
    bytes.append(part.data(), static_cast<std::size_t>(count));
    if (bytes.size() > most_bytes) return std::nullopt;
  }
  while (!bytes.empty() && (bytes.back() == '\0' || bytes.back() == '\n' || bytes.back() == ' ')) {
    bytes.pop_back();
  }
  if (bytes.empty() || !is_text(bytes)) return std::nullopt;
  return bytes;
}

std::optional<std::int64_t> MachineFiles::number(const std::filesystem::path& file,
                                                 int base) const {
  const auto found = text(file);
  if (!found) return std::nullopt;
  std::string_view digits = *found;
  if (base == 16 && digits.starts_with("0x")) digits.remove_prefix(2);
  std::int64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (result.ec != std::errc() || result.ptr != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::vector<std::filesystem::path> MachineFiles::matching(const std::string& pattern) const {
  std::vector<std::filesystem::path> paths;
  glob_t found{};
  if (::glob((escaped(root_.string()) + "/" + pattern).c_str(), 0, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i) {
      paths.push_back(std::filesystem::path(found.gl_pathv[i]).lexically_relative(root_));
    }
  }
  ::globfree(&found);
  return paths;
}

}  // namespace outcrop::runtime
