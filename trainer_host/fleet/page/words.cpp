#include "trainer_host/fleet/page/words.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "protocol/base/counted.hpp"

namespace outcrop::fleet::page {
namespace {

std::string with_digits(double value, int digits) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

std::string three_digits(double value) {
  const double size = std::fabs(value);
  return with_digits(value, size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

std::string since(std::chrono::seconds gone) {
  const auto count = gone.count();
  if (count < 90) return std::to_string(count) + " s";
  if (count < 90 * 60) return std::to_string(count / 60) + " min";
  if (count < 48 * 3600) return std::to_string(count / 3600) + " h";
  return std::to_string(count / 86400) + " days";
}

}  // namespace

std::string milliseconds(double value) {
  return three_digits(value) + " ms";
}

std::string megabytes(std::uint64_t bytes) {
  if (bytes >= 10'000'000'000) return with_digits(static_cast<double>(bytes) / 1e9, 1) + " GB";
  return with_digits(static_cast<double>(bytes) / 1e6, bytes < 10'000'000 ? 1 : 0) + " MB";
}

std::string change(double ratio) {
  const double percent = ratio * 100;
  const std::string text = with_digits(std::fabs(percent), std::fabs(percent) >= 100 ? 0 : 1);
  return (percent < 0 ? "−" : "+") + text + " %";
}

std::string interval(const PairedChange& p90) {
  if (!p90.low && !p90.high) return "too few boards";
  const auto end = [](const std::optional<double>& one) {
    if (!one) return std::string("?");
    std::string text = change(*one);
    return text.substr(0, text.size() - 2);
  };
  return "[" + end(p90.low) + ", " + end(p90.high) + "] %";
}

std::string evidence(double e) {
  if (e >= 1e6) return "over a million";
  return e < 10 ? with_digits(e, 1) : with_digits(e, 0);
}

std::string plain(double value) {
  return with_digits(value, 4);
}

std::string boards(std::size_t count) {
  return counted(count, "board");
}

Html age(const std::optional<Timestamp>& time, Timestamp now) {
  Html html;
  if (!time) return html << "<span class=\"dim\">never</span>";
  const std::string exact = to_rfc3339(*time);
  const auto gone = std::max(std::chrono::seconds(0), now - *time);
  return html << "<time datetime=\"" << exact << "\" title=\"" << exact << "\" data-age>"
              << since(gone) << "</time>";
}

Html chip(Health health) {
  static constexpr std::array<std::string_view, health_count> shapes{"✖", "○", "▲", "◔", "●", "–"};
  Html html;
  return html << "<span class=\"chip " << to_string(health) << "\"><span aria-hidden=\"true\">"
              << shapes[static_cast<std::size_t>(health)] << "</span> " << to_string(health)
              << "</span>";
}

Html chip(Verdict verdict) {
  Html html;
  switch (verdict) {
    case Verdict::regression:
      return html << "<span class=\"chip failed\"><span aria-hidden=\"true\">▼</span> regression</span>";
    case Verdict::suspected:
      return html << "<span class=\"chip throttled\"><span aria-hidden=\"true\">?</span> suspected</span>";
    case Verdict::insufficient:
      return html << "<span class=\"chip waiting\"><span aria-hidden=\"true\">…</span> insufficient "
                     "data</span>";
    case Verdict::none:
      break;
  }
  return html << "<span class=\"chip well\"><span aria-hidden=\"true\">●</span> not worse</span>";
}

Html board_link(const std::string& name) {
  Html html;
  return html << "<a href=\"/boards/" << in_url(name) << "\">" << name << "</a>";
}

Html rollout_link(const std::string& name) {
  Html html;
  return html << "<a href=\"/rollouts/" << in_url(name) << "\">" << name << "</a>";
}

std::string heat(const Change& of) {
  if (of.throttled_after == 0 && of.throttled_before == 0) {
    return "no measurement was held back by heat or supply";
  }
  if (of.throttled_after > of.throttled_before) {
    return boards(of.throttled_after) + " held back by heat or supply with the newer, " +
           std::to_string(of.throttled_before) + " with the older: void, and not compared";
  }
  return boards(of.throttled_before) + " held back by heat or supply: void, and not compared";
}

Html sentence(const Change& of, const FleetView& view) {
  Html html;
  const PairedChange& p90 = of.p90;
  const bool slower = p90.median > 0;
  std::string size = change(std::fabs(p90.median));
  size.erase(0, 1);  // the words say the direction
  html << "<b>" << of.variant << "</b> on <b>" << of.device_class << "</b> is "
       << std::string(slower ? "slower" : "faster") << " by <b>" << size << "</b>";
  if (p90.low || p90.high) html << " " << interval(p90);
  html << " at p90 with " << view.name_of(of.releases.after) << " than with "
       << view.name_of(of.releases.before) << " (" << milliseconds(of.before_ms) << " → "
       << milliseconds(of.after_ms) << "): slower on " << p90.slower << " of " << boards(p90.boards);
  if (p90.verdict == Verdict::insufficient) {
    html << ", too few to be sure";
  } else {
    html << ", evidence " << evidence(p90.evidence) << " where 100 is enough";
  }
  return html << "; " << heat(of) << ".";
}

}  // namespace outcrop::fleet::page
