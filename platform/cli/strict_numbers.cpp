#include "platform/cli/strict_numbers.hpp"

#include <cstdint>
#include <string_view>

#include "protocol/base/number.hpp"

namespace outcrop::cli {
namespace {

// "010" is 8 to some readers and 10 to others.
bool has_leading_zero(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9';
}

std::string problem_with(const std::string& text, const std::string& type) {
  const bool reads = type == "UINT"  ? read_number<std::uint64_t>(text).has_value()
                     : type == "INT" ? read_number<std::int64_t>(text).has_value()
                                     : read_number<double>(text).has_value();
  if (reads && !has_leading_zero(text)) return "";
  return "'" + text + "' is not " +
         (type == "UINT"  ? "a whole number from 0 to 18446744073709551615"
          : type == "INT" ? "a whole number"
                          : "a number") +
         " in plain decimal notation";
}

void read_strictly(CLI::Option* option, const std::string& type) {
  // As a transformation it comes before every check of ranges, which would read it leniently.
  option->transform(CLI::Validator(
      [type](std::string& text) { return problem_with(text, type); }, "", "strict-number"));
}

// "UINT", "UINT:INT in [1 - 6]": checks add their own words.
std::string number_type(const CLI::Option& option) {
  const std::string full = option.get_type_name();
  const std::string type = full.substr(0, full.find(':'));
  return type == "UINT" || type == "INT" || type == "FLOAT" ? type : "";
}

}  // namespace

void read_numbers_strictly(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (const std::string type = number_type(*option); !type.empty()) read_strictly(option, type);
  }
  for (CLI::App* inner : app.get_subcommands([](CLI::App*) { return true; })) {
    read_numbers_strictly(*inner);
  }
}

CLI::Option* in_unit(CLI::Option* option, const std::string& unit) {
  if (const std::string type = number_type(*option); !type.empty()) read_strictly(option, type);
  return option->type_name(unit);
}

}  // namespace outcrop::cli
