#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "protocol/base/join.hpp"
#include "trainer_host/fleet/page/screens.hpp"
#include "trainer_host/fleet/page/words.hpp"

namespace outcrop::fleet::page {
namespace {

constexpr std::size_t raw_reports = 20;

Html fact(const std::string& name, const Html& value) {
  Html html;
  return html << "<div><dt>" << name << "</dt><dd>" << value << "</dd></div>";
}

Html text(const std::string& words) {
  Html html;
  return html << words;
}

// Flash tells its wear in tenths, rounded up.
Html worn(double share) {
  constexpr double soon = .8;
  if (share > 1) return text("all and more: replace it");
  const int percent = static_cast<int>(std::lround(share * 100));
  return text(std::to_string(std::max(0, percent - 10)) + " to " + std::to_string(percent) + " %" +
              (share >= soon ? ": replace it soon" : ""));
}

Html facts(const FleetView& view, const BoardRow& row, const BoardHistory& history, Timestamp now) {
  const Device& device = row.device;
  Html health = chip(row.health);
  if (!row.why.empty()) health << " " << row.why;
  Html html;
  html << "<dl class=\"facts\">" << fact("Health", health) << fact("Class", text(device.device_class))
       << fact("Model", text(device.model)) << fact("Heard", age(device.last_seen, now))
       << fact("Enrolled", age(device.enrolled, now));
  if (device.status) {
    const auto& status = *device.status;
    html << fact("Agent", text(status.agent + (device.signs ? ", signs" : ", does not sign")));
    if (status.active_manifest) {
      html << fact("Serves", text(view.name_of(*status.active_manifest) + ", " + status.active_variant));
    }
  }
  if (row.desired) {
    Html wanted = rollout_link(row.desired->rollout);
    wanted << " " << std::string(row.desired->state ? messages::to_string(*row.desired->state) : "waiting");
    html << fact("Latest rollout", wanted);
  }
  if (history.sample) {
    const monitor::BoardSample& sample = *history.sample;
    if (sample.temperature) {
      Html hot;
      hot << plain(*sample.temperature).substr(0, 4) << " °C, " << age(sample.received, now) << " ago";
      html << fact("Temperature", hot);
    }
    Html causes;
    for (int i = 0; i < monitor::throttling_count; ++i) {
      if (sample.throttled_now && (*sample.throttled_now >> i & 1U) != 0) {
        causes << to_string(static_cast<monitor::Throttling>(i)) << " ";
      }
    }
    html << fact("Held back now", causes.empty() ? text("no") : causes);
    if (sample.free_disk) html << fact("Free disk", text(megabytes(*sample.free_disk)));
    if (sample.disk_written) html << fact("Written to the disk", text(megabytes(*sample.disk_written)));
    if (sample.disk_worn) html << fact("Life of the disk used", worn(*sample.disk_worn));
    if (sample.free_memory) html << fact("Free memory", text(megabytes(*sample.free_memory)));
    html << fact("Runner restarts", text(std::to_string(sample.runner_restarts)));
  }
  return html << "</dl>";
}

Html figures(const FleetView& view, const BoardRow& row, Timestamp now) {
  Html table;
  table << "<table><caption class=\"sr\">What it measured</caption><thead><tr><th "
           "scope=\"col\">Release</th><th scope=\"col\">Variant</th><th scope=\"col\" class=\"n\">p50</th>"
           "<th scope=\"col\" class=\"n\">p90</th><th scope=\"col\" class=\"n\">Load</th><th scope=\"col\" "
           "class=\"n\">First call</th><th scope=\"col\" class=\"n\">Memory</th><th scope=\"col\" "
           "class=\"n\">Error of allowed</th><th scope=\"col\">Age</th></tr></thead><tbody>";
  for (const Figure& one : row.figures) {
    table << "<tr><th scope=\"row\">" << view.name_of(one.manifest) << "</th><td>" << one.variant
          << "</td>";
    if (!one.counts()) {
      table << "<td colspan=\"6\">void: " << join(one.void_because, "; ") << "</td>";
    } else {
      table << "<td class=\"n\">" << milliseconds(one.p50_ms) << "</td><td class=\"n\">"
            << milliseconds(one.p90_ms) << "</td><td class=\"n\">" << milliseconds(one.load_ms)
            << "</td><td class=\"n\">" << milliseconds(one.first_ms) << "</td><td class=\"n\">"
            << megabytes(one.peak_memory) << "</td><td class=\"n\">";
      if (one.error) {
        const std::string percent = change(*one.error).substr(1);
        table << percent;
      } else {
        table << "–";
      }
      table << "</td>";
    }
    table << "<td>" << age(one.received, now) << "</td></tr>";
  }
  if (row.figures.empty()) table << "<tr><td colspan=\"9\">Nothing yet.</td></tr>";
  return headed("What it measured, the newest of each variant", table << "</tbody></table>");
}

// A table that a script draws: the first column is time, the others are numbers of one unit. Rows with
// data-band are shaded: the board was held back.
class Chart {
 public:
  Chart(const std::string& name, const std::string& unit, const std::vector<std::string>& series) {
    html_ << "<figure class=\"chart\" data-unit=\"" << unit << "\"><figcaption>" << name
          << "</figcaption><details open><summary>Figures</summary>";
    table_ << "<table class=\"dense\"><caption class=\"sr\">" << name
           << "</caption><thead><tr><th scope=\"col\">When</th>";
    for (const std::string& one : series) table_ << "<th scope=\"col\" class=\"n\">" << one << "</th>";
    table_ << "</tr></thead><tbody>";
    name_ = name;
  }
  void row(Timestamp when, bool held_back, const std::vector<std::optional<double>>& values) {
    ++rows_;
    const std::string exact = to_rfc3339(when);
    table_ << "<tr";
    if (held_back) table_ << " data-band";
    table_ << "><th scope=\"row\"><time datetime=\"" << exact << "\">" << exact << "</time>";
    if (held_back) table_ << " ▲ held back";
    table_ << "</th>";
    for (const auto& value : values) {
      table_ << "<td class=\"n\">" << std::string(value ? plain(*value) : "–") << "</td>";
    }
    table_ << "</tr>";
  }
  [[nodiscard]] Html done() {
    if (rows_ == 0) return {};
    table_ << "</tbody></table>";
    return html_ << scrolling(name_ + ", figures", table_) << "</details></figure>";
  }

 private:
  Html html_, table_;
  std::string name_;
  std::size_t rows_ = 0;
};

bool held_back(const messages::ReportedMeasurement& measured) {
  Figure figure;
  figure.void_because = measured.void_because;
  return figure.throttled();
}

// Of what it serves now, or of the variant that it measured last.
std::string charted_variant(const BoardRow& row) {
  if (row.device.status && !row.device.status->active_variant.empty()) {
    return row.device.status->active_variant;
  }
  return row.figures.empty() ? "" : row.figures.front().variant;
}

Html measured_charts(const BoardRow& row, const BoardHistory& history) {
  const std::string variant = charted_variant(row);
  Chart latency("Latency of " + variant + ", measured at rest", "ms", {"p50", "p90"});
  Chart memory("Peak memory of " + variant, "MB", {"memory"});
  for (auto it = history.reports.rbegin(); it != history.reports.rend(); ++it) {
    for (const messages::ReportedVariant& one : it->report.variants) {
      if (one.name != variant || !one.measurement) continue;
      const bool band = held_back(*one.measurement);
      if (!one.measurement->void_because.empty() && !band) continue;
      latency.row(it->received, band, {one.measurement->p50_ms, one.measurement->p90_ms});
      memory.row(it->received, band,
                 {static_cast<double>(one.measurement->peak_memory.value()) / 1e6});
    }
  }
  Html html;
  return html << latency.done() << memory.done();
}

bool held_back(const monitor::Point& point) {
  for (const std::uint64_t count : point.throttled) {
    if (count > 0) return true;
  }
  return false;
}

Html telemetry_charts(const BoardHistory& history) {
  Chart served("Latency of calls served to its owner", "ms", {"p50", "p90"});
  for (const monitor::Point& point : history.served.points) {
    served.row(point.at, held_back(point), {point.values.quantile(.5), point.values.quantile(.9)});
  }
  Chart temperature("Temperature", "°C", {"median", "highest"});
  for (const monitor::Point& point : history.temperature.points) {
    temperature.row(point.at, held_back(point), {point.values.quantile(.5), point.values.max()});
  }
  Html html;
  return html << served.done() << temperature.done();
}

Html raw(const BoardHistory& history, const FleetView& view, Timestamp now) {
  Html html;
  html << "<section><h2>Reports</h2>";
  if (history.reports.empty()) return html << "<p>None yet.</p></section>";
  for (std::size_t i = 0; i < history.reports.size() && i < raw_reports; ++i) {
    const StoredReport& one = history.reports[i];
    html << "<details><summary>" << age(one.received, now) << " ago: "
         << view.name_of(one.report.deployment.manifest) << ", "
         << messages::to_string(one.report.state) << "</summary><pre tabindex=\"0\">"
         << messages::to_json(one.report) << "</pre></details>";
  }
  return html << "</section>";
}

}  // namespace

Html board_screen(const FleetView& view, const BoardRow& row, const BoardHistory& history,
                  const Reader& reader, Timestamp now) {
  Html html;
  html << "<h1>" << row.device.name << "</h1><section data-live=\"facts\">"
       << facts(view, row, history, now) << "</section>";
  if (!row.device.attention.empty()) {
    html << "<section class=\"attention\"><p>" << row.device.attention << "</p></section>";
  }
  html << "<section class=\"charts\" data-live=\"charts\">" << measured_charts(row, history)
       << telemetry_charts(history);
  if (history.served.points.empty() && history.temperature.points.empty()) {
    html << "<p class=\"dim\">It has sent no telemetry: temperature and served calls are not known.</p>";
  }
  html << "</section><section data-live=\"picture\">" << picture_part(view, row, history.picture, reader, now);
  return html << "</section><section data-live=\"figures\">" << figures(view, row, now)
              << "</section>" << raw(history, view, now);
}

}  // namespace outcrop::fleet::page
