#include "protocol/base/json_integer.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "protocol/base/json_text.hpp"

namespace outcrop {

Result<std::int64_t> json_integer(const nlohmann::json& value, std::string_view name,
                                  std::int64_t least, std::int64_t most) {
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const bool fits = value.is_number_unsigned() ? value.get<std::uint64_t>() <= largest
                                               : value.is_number_integer();
  const std::int64_t number = fits ? value.get<std::int64_t>() : 0;
  if (fits && number >= least && number <= most) return number;
  return fail(ErrorCode::invalid_data,
              std::string(name) + " is " + json_text(value).substr(0, 40) +
                  "; it must be a whole number of at least " + std::to_string(least) +
                  (most < std::numeric_limits<std::int64_t>::max()
                       ? " and at most " + std::to_string(most)
                       : ""));
}

}  // namespace outcrop
