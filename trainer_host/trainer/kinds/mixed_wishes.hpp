#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "platform/config/toml_reader.hpp"
#include "protocol/base/bytes.hpp"

namespace outcrop::kinds {

// What matters most among choices that keep to the budget.
enum class Aim { accuracy, speed, size };

// What a choice of int8 or float by layer keeps to. Each bound that is there is kept.
struct MixedWishes {
  std::optional<double> budget_ms{};       // median of one served call on one thread, milliseconds
  std::optional<ByteCount> budget_size{};  // of the file
  std::optional<double> min_db{};          // signal to noise of what the networks answer, against float
  std::optional<Aim> aim{};                // none: accuracy, or speed where `min_db` says what is accurate enough

  [[nodiscard]] Aim wanted() const { return aim.value_or(min_db ? Aim::speed : Aim::accuracy); }
  [[nodiscard]] bool has_bounds() const { return budget_ms || budget_size || min_db; }
  friend bool operator==(const MixedWishes&, const MixedWishes&) = default;
};

[[nodiscard]] std::optional<Aim> aim_from(const std::string& name);
[[nodiscard]] std::string name_of(Aim aim);
// "least error within 12 ms and 2.5 MB".
[[nodiscard]] std::string in_words(const MixedWishes& wishes);
// Keys budget_ms, budget_size (bytes), min_db and aim of such a table, each with the value that `fallback` has
// where it is not there.
[[nodiscard]] MixedWishes read_mixed_wishes(platform::TomlReader::Table& table, const MixedWishes& fallback = {});

}  // namespace outcrop::kinds
