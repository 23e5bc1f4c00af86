#include "trainer_host/trainer/train/identity.hpp"

#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <sstream>

#include "protocol/base/number.hpp"

namespace outcrop::train {
namespace {

std::map<std::string, std::string> values_of(const std::string& text) {
  constexpr std::string_view between = " = ";
  std::map<std::string, std::string> values;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    const std::size_t at = line.find(between);
    if (at == std::string::npos) continue;
    values.emplace(line.substr(0, at), line.substr(at + between.size()));
  }
  for (const char* key : {"train.average", "train.qat_from"}) values.emplace(key, "0");  // where the text has none
  return values;
}

// As a person would write it: the text that identifies a run has 17 digits, 0.0030000000000000001.
std::string shortest(double number) {
  std::array<char, 32> text{};
  const auto [end, error] = std::to_chars(text.begin(), text.end(), number, std::chars_format::general);
  return error == std::errc() ? std::string(text.begin(), end) : std::to_string(number);
}

std::string shown_value(const std::string& value) {
  constexpr std::size_t digest_length = 64;
  const bool digest = value.size() == digest_length &&
                      value.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (digest) return "digest " + value.substr(0, 12) + "…";
  const bool fraction = value.find_first_of(".e") != std::string::npos;
  const auto number = fraction ? read_number<double>(value) : std::nullopt;
  return number ? shortest(*number) : value;
}

}  // namespace

std::string identity_of(const TrainConfig& config, const kinds::DataSummary& data) {
  return config.fingerprint() + "data.train = " + data.digest + "\ndata.validation = " +
         (data.held_out_digest.empty() ? "none" : data.held_out_digest) + "\n";
}

std::vector<Difference> differences(const std::string& there, const std::string& here) {
  const auto before = values_of(there);
  std::vector<Difference> found;
  for (const auto& [key, value] : values_of(here)) {
    const auto old = before.find(key);
    if (old != before.end() && old->second != value) found.push_back({key, old->second, value});
  }
  return found;
}

bool may_change(const std::string& key) {
  return !key.starts_with("model.");
}

std::string describe(const Difference& difference) {
  return difference.key + ": " + shown_value(difference.there) + " there, " + shown_value(difference.here) +
         " here";
}

}  // namespace outcrop::train
