#include "trainer_host/fleet/picture/compare.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace outcrop::fleet {
namespace {

using Verdict = Comparison::Verdict;

std::string sizes(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t size : shape) text += (text.empty() ? "[" : ", ") + std::to_string(size);
  return text + "]";
}

std::string with_unit(double value, const std::string& unit) {
  return figure(value) + (unit.empty() ? "" : " " + unit);
}

// The mean is allowed over a whole output, of which a picture may be a part.
Verdict judge(const Comparison& found, const HostsOwn& own, const messages::OutputTolerance* allowed) {
  if (own.classes) return found.of_another_class == 0 ? Verdict::same : Verdict::off;
  if (found.largest <= std::max(found.unseen, own.step())) return Verdict::same;
  if (allowed == nullptr) return Verdict::off;
  const bool too_far = found.largest > allowed->max_abs + found.unseen ||
                       (own.map.is_whole() && found.mean > allowed->mean_abs + found.unseen);
  return too_far ? Verdict::beyond : Verdict::within;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  constexpr std::array<std::string_view, 4> words{"same", "within", "beyond", "off"};
  return words[static_cast<std::size_t>(verdict)];
}

std::string figure(double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), std::fabs(value) >= 1000 && std::fabs(value) < 1e9 ? "%.0f" : "%.3g", value);
  return text.data();
}

std::string range_in_words(double min, double max, const std::string& unit) {
  return figure(min) + " to " + with_unit(max, unit);
}

Result<Comparison> compare(const messages::Picture& picture, const HostsOwn& own) {
  const messages::Picture::Drawn& drawn = *picture.drawn;
  if (drawn.output != own.output || drawn.shape != own.map.shape) {
    return fail(ErrorCode::invalid_data, "it drew '" + drawn.output + "' of " + sizes(drawn.shape) +
                                             ", and the host's own is '" + own.output + "' of " + sizes(own.map.shape));
  }
  Comparison found;
  found.points = own.map.values.size();
  found.unseen = (drawn.max - drawn.min) / 255 / 2;
  double squares = 0;
  for (std::size_t i = 0; i < found.points; ++i) {
    const double value = own.classes ? std::round(drawn.value(i)) : drawn.value(i);
    const double off = std::fabs(value - own.map.values[i]);
    found.largest = std::max(found.largest, off);
    found.mean += off;
    squares += off * off;
    found.of_another_class += own.classes && off > 0 ? 1 : 0;
  }
  found.mean /= static_cast<double>(found.points);
  found.rms = std::sqrt(squares / static_cast<double>(found.points));
  const auto allowed = own.allowed.find(picture.variant);
  const auto* known = allowed == own.allowed.end() ? nullptr : &allowed->second;
  if (known != nullptr && !own.classes) found.allowed = known->max_abs;
  found.verdict = judge(found, own, known);
  return found;
}

std::string in_words(const Comparison& found, const HostsOwn& own, const std::string& variant) {
  if (own.classes) {
    if (found.of_another_class == 0) return "The same class as in the host's own at every point.";
    const double share = 100.0 * static_cast<double>(found.of_another_class) / static_cast<double>(found.points);
    return "Another class than in the host's own at " + std::to_string(found.of_another_class) + " of " +
           std::to_string(found.points) + " points (" + figure(share) + " %).";
  }
  if (found.verdict == Verdict::same) return "The same as the host's own, as near as 256 levels of gray can tell.";
  std::string words = "Off the host's own by " + with_unit(found.largest, own.unit) + " at most and " +
                      with_unit(found.rms, own.unit) + " in the root mean square";
  if (own.step() > 0) {
    words += ", which are " + figure(found.largest / own.step()) + " and " + figure(found.rms / own.step()) +
             " steps of the gray scale";
  }
  switch (found.verdict) {
    case Verdict::within:
      return words + ". The release allows " + variant + " " + with_unit(*found.allowed, own.unit) + " at any point.";
    case Verdict::beyond:
      return "It is not what was signed. " + words + ". The release allows " + variant + " " +
             with_unit(own.allowed.at(variant).mean_abs, own.unit) + " on average and " +
             with_unit(*found.allowed, own.unit) + " at any point.";
    default:
      return words + ".";
  }
}

}  // namespace outcrop::fleet
