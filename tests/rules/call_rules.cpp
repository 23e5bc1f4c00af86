#include "tests/rules/call_rules.hpp"

#include <array>
#include <fstream>
#include <string_view>

#include "tests/rules/include_rules.hpp"

namespace outcrop::rules {
namespace {

struct OnePlace {
  std::string_view call;
  std::string_view place;
  std::string_view rule;
};

constexpr std::array rules{
    OnePlace{".dump(", "protocol/base/json_text.cpp", "JSON becomes text by json_text: dump() throws"},
    OnePlace{"->dump(", "protocol/base/json_text.cpp", "JSON becomes text by json_text: dump() throws"},
};

bool is_of_tests(std::string_view file) {
  return file.starts_with("tests/") || file.ends_with("_test.cpp") ||
         file.find("_fixture.") != std::string_view::npos ||
         file.find("_for_tests.") != std::string_view::npos;
}

}  // namespace

std::vector<ForbiddenCall> find_forbidden_calls(const std::filesystem::path& root) {
  std::vector<ForbiddenCall> found;
  for (const std::string& file : headers_and_sources(root)) {
    if (is_of_tests(file)) continue;
    std::ifstream stream(root / file);
    std::size_t number = 0;
    for (std::string line; std::getline(stream, line);) {
      ++number;
      for (const OnePlace& rule : rules) {
        if (file == rule.place || line.find(rule.call) == std::string::npos) continue;
        found.push_back({file, number, std::string(rule.rule)});
      }
    }
  }
  return found;
}

}  // namespace outcrop::rules
