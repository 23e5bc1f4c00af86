#include "trainer_host/cli/whole_id.hpp"

#include <algorithm>
#include <set>

namespace outcrop::cli {
namespace {

constexpr std::size_t digits_of_all = 64;
constexpr std::size_t digits_shown = 16;

std::string starts_of(const std::set<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) text += (text.empty() ? "" : ", ") + id.substr(0, digits_shown) + "…";
  return text;
}

}  // namespace

Result<std::string> whole_id(const std::string& start, const std::vector<std::string>& all, const std::string& what) {
  const bool hex = !start.empty() && start.size() <= digits_of_all && start.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!hex) {
    return fail(ErrorCode::invalid_argument, "'" + start + "' is not the start of " + what + ": some of its 64 digits (0-9, a-f) would be right");
  }
  if (start.size() == digits_of_all) return start;
  std::set<std::string> found;
  std::copy_if(all.begin(), all.end(), std::inserter(found, found.end()), [&](const std::string& id) { return id.starts_with(start); });
  if (found.size() == 1) return *found.begin();
  if (!found.empty()) {
    return fail(ErrorCode::invalid_argument, "several begin with " + start + ": " + starts_of(found) + "; give more digits of " + what);
  }
  const std::set<std::string> known(all.begin(), all.end());
  return fail(ErrorCode::not_found, "none begins with " + start + " of those that are known here (" +
                                        (known.empty() ? std::string("there is none") : starts_of(known)) + "): " + what +
                                        " would be right, by its first digits or all 64");
}

}  // namespace outcrop::cli
