#include "trainer_host/cli/human.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace outcrop::cli {

std::string text_at(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? "" : found->get<std::string>();
}

std::string short_digest(std::string_view hex) {
  return hex.empty() ? "–" : std::string(hex.substr(0, 12));
}

std::string since(std::string_view rfc3339, Timestamp now) {
  const auto time = from_rfc3339(rfc3339);
  if (!time) return std::string(rfc3339);
  const long long seconds = std::max<long long>(0, (now - *time).count());
  if (seconds < 120) return std::to_string(seconds) + " s";
  if (seconds < 2 * 3600) return std::to_string(seconds / 60) + " min";
  if (seconds < 2 * 86'400) return std::to_string(seconds / 3600) + " h";
  return std::to_string(seconds / 86'400) + " d";
}

std::string age(std::string_view rfc3339, Timestamp now) {
  const std::string passed = since(rfc3339, now);
  return passed == rfc3339 ? passed : passed + " ago";
}

std::string shortened(const std::string& text, std::size_t columns) {
  std::size_t seen = 0;
  std::size_t cut = 0;  // where the last character that fits beside "…" ends
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U) continue;
    if (seen + 1 == columns) cut = i;
    if (++seen > columns) return text.substr(0, cut) + "…";
  }
  return text;
}

std::string short_number(double value) {
  const double size = std::fabs(value);
  if (size == 0) return "0";
  std::array<char, 32> text{};
  if (size >= 1e6 || size < 1e-3) {
    std::snprintf(text.data(), text.size(), "%.2e", value);
  } else {
    const int whole_digits = size < 1 ? 1 : static_cast<int>(std::log10(size)) + 1;
    const int small = size < 0.1 ? (size < 0.01 ? 2 : 1) : 0;
    const int decimals = whole_digits >= 3 ? 0 : 3 - whole_digits + small;
    std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  }
  return text.data();
}

std::string in_percent(const nlohmann::json& ratio, const char* none) {
  if (!ratio.is_number()) return none;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%+.1f %%", 100 * (ratio.get<double>() - 1));
  return text.data();
}

}  // namespace outcrop::cli
