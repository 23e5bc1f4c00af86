#include "trainer_host/trainer/kinds/mixed_wishes.hpp"

#include <array>
#include <vector>

#include "protocol/base/join.hpp"
#include "protocol/base/number.hpp"

namespace outcrop::kinds {
namespace {

constexpr std::array<std::pair<const char*, Aim>, 3> aims{
    {{"accuracy", Aim::accuracy}, {"speed", Aim::speed}, {"size", Aim::size}}};

}  // namespace

std::optional<Aim> aim_from(const std::string& name) {
  for (const auto& [known, aim] : aims) {
    if (name == known) return aim;
  }
  return std::nullopt;
}

std::string name_of(Aim aim) {
  for (const auto& [name, known] : aims) {
    if (aim == known) return name;
  }
  return {};
}

std::string in_words(const MixedWishes& wishes) {
  std::vector<std::string> bounds;
  if (wishes.budget_ms) bounds.push_back("at most " + write_number(*wishes.budget_ms, 6) + " ms");
  if (wishes.budget_size) bounds.push_back("at most " + wishes.budget_size->human());
  if (wishes.min_db) bounds.push_back("at least " + write_number(*wishes.min_db, 6) + " dB");
  std::string most;
  switch (wishes.wanted()) {
    case Aim::accuracy: most = "the least error"; break;
    case Aim::speed: most = "the fastest"; break;
    case Aim::size: most = "the smallest"; break;
  }
  return most + (bounds.empty() ? "" : " with " + join(bounds, ", "));
}

MixedWishes read_mixed_wishes(platform::TomlReader::Table& table, const MixedWishes& fallback) {
  constexpr std::int64_t largest = std::int64_t{1} << 50;
  MixedWishes wishes = fallback;
  if (table.has("budget_ms")) wishes.budget_ms = table.number("budget_ms", std::nullopt, 1e-3, 1e7);
  if (table.has("budget_size")) {
    wishes.budget_size = ByteCount(static_cast<std::uint64_t>(table.integer("budget_size", std::nullopt, 1, largest)));
  }
  if (table.has("min_db")) wishes.min_db = table.number("min_db", std::nullopt, 0.0, 150.0);
  if (table.has("aim")) {
    const std::string name = table.text("aim", std::nullopt);
    wishes.aim = aim_from(name);
    if (!wishes.aim && !name.empty()) table.refuse("aim", "is '" + name + "'; there are: accuracy, speed, size");
  }
  return wishes;
}

}  // namespace outcrop::kinds
