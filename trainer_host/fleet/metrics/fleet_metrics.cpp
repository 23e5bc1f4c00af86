#include "trainer_host/fleet/metrics/fleet_metrics.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "protocol/base/version.hpp"
#include "trainer_host/fleet/view/changes.hpp"

namespace outcrop::fleet {
namespace {

using Labels = Exposition::Labels;

// What boards of one class say of one variant of the release before or of that which is to replace it.
using Group = std::tuple<std::string_view, std::string_view, std::string_view, std::string_view>;  // class, model, variant, slot
using Figures = std::map<Group, std::vector<const Figure*>>;

double now_as_seconds(Timestamp from, Timestamp to) {
  return static_cast<double>(std::max<std::int64_t>(0, (to - from).count()));
}

void expose_boards(Exposition& out, const MetricsParts& parts) {
  std::map<std::string, std::array<std::size_t, health_count>> states;
  std::map<std::pair<std::string, std::string>, std::size_t> throttled;
  static const std::vector<double> age_bounds{60, 300, 900, 3600, 21600, 86400, 604800};
  std::vector<std::uint64_t> ages(age_bounds.size() + 1);
  double age_sum = 0;
  for (const auto& [name, row] : parts.view.boards()) {
    ++states[row.device.device_class][static_cast<std::size_t>(row.health)];
    if (row.device.revoked || row.figures.empty()) continue;
    const double age = now_as_seconds(row.figures[0].received, parts.now);
    const auto bound = std::lower_bound(age_bounds.begin(), age_bounds.end(), age);
    ++ages[static_cast<std::size_t>(bound - age_bounds.begin())];
    age_sum += age;
  }
  out.family("outcrop_boards", "gauge", "", "Boards by class and health.");
  for (const auto& [device_class, counts] : states) {
    for (int i = 0; i < health_count; ++i) {
      out.series("", {{"device_class", device_class},
                      {"state", std::string(to_string(static_cast<Health>(i)))}},
                 static_cast<double>(counts[static_cast<std::size_t>(i)]));
    }
  }
  out.family("outcrop_board_report_age_seconds", "histogram", "seconds",
             "Age of the newest measurement of each board.");
  out.histogram({}, age_bounds, ages, age_sum);
}

Figures figures_by_slot(const FleetView& view) {
  std::set<std::string> models;
  for (const Glance& glance : view.glances()) models.insert(glance.row->device.model);
  std::map<std::string, std::optional<ReleasePair>> pairs;
  for (const std::string& model : models) pairs[model] = newest_pair(view, model);
  Figures figures;
  for (const Glance& glance : view.glances()) {
    const BoardRow& row = *glance.row;
    if (row.device.revoked) continue;
    const auto& pair = pairs[row.device.model];
    for (const Figure& figure : row.figures) {
      if (!figure.counts()) continue;
      // Where only one release was measured, it is the incumbent.
      const bool candidate = pair && figure.manifest == pair->after;
      if (pair && !candidate && figure.manifest != pair->before) continue;
      figures[{row.device.device_class, row.device.model, figure.variant,
               candidate ? "candidate" : "incumbent"}]
          .push_back(&figure);
    }
  }
  return figures;
}

void expose_across(Exposition& out, const Labels& labels, std::vector<double> values) {
  const Across found = across(std::move(values));
  for (const auto& [word, value] : {std::pair("median", found.median), std::pair("p90", found.p90),
                                    std::pair("max", found.max)}) {
    Labels all = labels;
    all.emplace_back("across", word);
    out.series("", all, value);
  }
}

template <class Value>
void expose_figure(Exposition& out, const Figures& figures, const char* name, const char* unit,
                   const char* help, Value value) {
  out.family(name, "gauge", unit, help);
  for (const auto& [group, of] : figures) {
    std::vector<double> values;
    for (const Figure* figure : of) {
      if (const std::optional<double> one = value(*figure)) values.push_back(*one);
    }
    if (values.empty()) continue;
    const auto& [device_class, model, variant, slot] = group;
    expose_across(out, {{"device_class", std::string(device_class)}, {"model", std::string(model)},
                        {"variant", std::string(variant)}, {"slot", std::string(slot)}},
                  std::move(values));
  }
}

void expose_figures(Exposition& out, const FleetView& view) {
  using Some = std::optional<double>;
  const Figures figures = figures_by_slot(view);
  expose_figure(out, figures, "outcrop_fleet_latency_p50_seconds", "seconds",
                "Median latency that boards measured, across the boards of a class.",
                [](const Figure& one) { return Some(one.p50_ms / 1e3); });
  expose_figure(out, figures, "outcrop_fleet_latency_p90_seconds", "seconds",
                "90th percentile of latency that boards measured, across the boards of a class.",
                [](const Figure& one) { return Some(one.p90_ms / 1e3); });
  expose_figure(out, figures, "outcrop_fleet_load_seconds", "seconds", "Loading, across boards.",
                [](const Figure& one) { return Some(one.load_ms / 1e3); });
  expose_figure(out, figures, "outcrop_fleet_first_inference_seconds", "seconds",
                "The first call after loading, across boards.",
                [](const Figure& one) { return Some(one.first_ms / 1e3); });
  expose_figure(out, figures, "outcrop_fleet_peak_memory_bytes", "bytes",
                "Peak memory of the runner, across boards.",
                [](const Figure& one) { return Some(static_cast<double>(one.peak_memory)); });
  expose_figure(out, figures, "outcrop_fleet_golden_error_ratio", "ratio",
                "Error of the worst output against the float model, as a share of what the release "
                "allows, across boards.",
                [](const Figure& one) { return one.error; });
}

void expose_heat(Exposition& out, const MetricsParts& parts) {
  std::map<std::string, std::vector<double>> temperatures, worn;
  std::map<std::string, std::array<std::size_t, monitor::throttling_count>> held_back;
  const auto take = [&](const monitor::BoardSample& sample) {
    if (sample.temperature) temperatures[sample.device_class].push_back(*sample.temperature);
    if (sample.disk_worn) worn[sample.device_class].push_back(*sample.disk_worn);
    auto& counts = held_back[sample.device_class];
    for (int i = 0; i < monitor::throttling_count; ++i) {
      const bool now = sample.throttled_now && (*sample.throttled_now >> i & 1U) != 0;
      counts[static_cast<std::size_t>(i)] += now ? 1 : 0;
    }
  };
  if (parts.history != nullptr) parts.history->each_latest(take);
  out.family("outcrop_fleet_temperature_celsius", "gauge", "celsius",
             "The hottest sensor of each board, across the boards of a class.");
  for (auto& [device_class, values] : temperatures) {
    expose_across(out, {{"device_class", device_class}}, std::move(values));
  }
  out.family("outcrop_fleet_disk_worn_ratio", "gauge", "ratio",
             "Share of the rated life of its flash that each board has used, by tenths rounded up, across the boards of a class.");
  for (auto& [device_class, values] : worn) {
    expose_across(out, {{"device_class", device_class}}, std::move(values));
  }
  out.family("outcrop_boards_throttled", "gauge", "",
             "Boards whose firmware holds them back now, by cause.");
  for (const auto& [device_class, counts] : held_back) {
    for (int i = 0; i < monitor::throttling_count; ++i) {
      out.series("", {{"device_class", device_class},
                      {"cause", std::string(to_string(static_cast<monitor::Throttling>(i)))}},
                 static_cast<double>(counts[static_cast<std::size_t>(i)]));
    }
  }
}

// Of the rollouts that are under way, together: a rollout's name is no label.
void expose_rollouts(Exposition& out, const MetricsParts& parts) {
  std::map<std::string_view, std::map<std::string_view, std::size_t>> states;  // class, state
  std::map<std::string, double> evidence;
  for (const RolloutRow& row : parts.view.rollouts()) {
    if (has_ended(row.record.state)) continue;
    parts.view.each_board(row, [&](const BoardRow& board, const Assignment* assigned) {
      if (assigned == nullptr) return;
      const std::string_view state = assigned->excluded ? "excluded" : assigned->state ? messages::to_string(*assigned->state) : "waiting";
      ++states[board.device.device_class][state];
    });
    if (const auto judgement = parts.view.judgement_of(row, parts.now)) {
      for (const ClassEvidence& seen : judgement->classes) {
        double& most = evidence[seen.device_class];
        most = std::max(most, seen.slower / judgement->line);
      }
      continue;
    }
    for (const Change& change : newest_changes(parts.view)) {
      if (change.releases.after != row.record.manifest) continue;
      double& most = evidence[change.device_class];
      most = std::max(most, change.p90.evidence / stop_line);
    }
  }
  out.family("outcrop_rollout_boards", "gauge", "", "Boards in rollouts that are under way.");
  for (const auto& [device_class, counts] : states) {
    for (const auto& [state, count] : counts) {
      out.series("", {{"state", std::string(state)}, {"device_class", std::string(device_class)}}, static_cast<double>(count));
    }
  }
  out.family("outcrop_rollout_evidence_ratio", "gauge", "ratio",
             "Evidence that the release being rolled out is slower, as a share of the stop line.");
  for (const auto& [device_class, ratio] : evidence) {
    out.series("", {{"metric", "p90"}, {"device_class", device_class}}, ratio);
  }
  if (parts.decisions == nullptr) return;
  out.family("outcrop_rollout_decisions", "counter", "", "States that rollouts came into, and by what.");
  for (std::size_t i = 0; i < DecisionCounts::known.size(); ++i) {
    const auto& [state, reason] = DecisionCounts::known[i];
    out.series("_total", {{"decision", std::string(to_string(state))}, {"reason", std::string(to_string(reason))}},
               static_cast<double>(parts.decisions->count(i)));
  }
}

void expose_messages(Exposition& out, const MetricsParts& parts) {
  const IngestStatistics& counts = parts.ingest;
  out.family("outcrop_reports", "counter", "", "Messages of boards, by what became of them.");
  for (const auto& [result, count] :
       {std::pair("taken", counts.reports), std::pair("repeated", counts.repeated),
        std::pair("stale", counts.stale), std::pair("unknown", counts.unknown),
        std::pair("malformed", counts.malformed), std::pair("forged", counts.forged),
        std::pair("limited", counts.limited)}) {
    out.series("_total", {{"result", result}}, static_cast<double>(count));
  }
  out.family("outcrop_sse_clients", "gauge", "", "Listeners of the event stream.");
  out.series("", {}, static_cast<double>(parts.events.listeners()));
  out.family("outcrop_sse_dropped", "counter", "", "Listeners that were let go: too slow.");
  out.series("_total", {}, static_cast<double>(parts.events.dropped()));
}

void expose_database(Exposition& out, const MetricsParts& parts) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(parts.database.string() + "-wal", error);
  out.family("outcrop_db_wal_bytes", "gauge", "bytes",
             "The registry's write-ahead log; it grows where a reader does not end.");
  out.series("", {}, error ? 0 : static_cast<double>(bytes));
}

void expose_history(Exposition& out, const MetricsParts& parts) {
  if (parts.history == nullptr) return;
  const monitor::HistoryHealth health = parts.history->health();
  const monitor::DiskUse disk = parts.history->disk_use();
  const auto gauge = [&](const char* name, const char* unit, const char* help, double value) {
    out.family(name, "gauge", unit, help);
    out.series("", {}, value);
  };
  gauge("outcrop_history_bytes", "bytes", "What the history takes on the disk.",
        static_cast<double>(disk.used.value()));
  gauge("outcrop_history_most_bytes", "bytes", "What the history may take on the disk.",
        static_cast<double>(disk.most.value()));
  gauge("outcrop_history_waiting", "", "Samples that wait for the writer.",
        static_cast<double>(health.waiting));
  gauge("outcrop_db_commit_duration_seconds", "seconds", "The last commit of the history.",
        static_cast<double>(health.last_commit.count()) / 1e6);
  out.family("outcrop_history_samples", "counter", "", "Samples of boards, by what became of them.");
  out.series("_total", {{"result", "taken"}}, static_cast<double>(health.taken));
  out.series("_total", {{"result", "lost"}}, static_cast<double>(health.lost));
}

}  // namespace

void expose_each_board(Exposition& out, const MetricsParts& parts, std::size_t most) {
  std::vector<const BoardRow*> rows;
  std::size_t left_out = 0;
  for (const auto& [name, row] : parts.view.boards()) {
    if (row.device.revoked) continue;
    if (rows.size() < most) {
      rows.push_back(&row);
    } else {
      ++left_out;
    }
  }
  out.family("outcrop_boards_truncated", "gauge", "", "Boards that are enrolled and not among these.");
  out.series("", {}, static_cast<double>(left_out));
  using Some = std::optional<double>;
  const auto each = [&](const char* name, const char* unit, const char* help, const std::function<Some(const BoardRow&)>& value) {
    out.family(name, "gauge", unit, help);
    for (const BoardRow* row : rows) {
      if (const Some one = value(*row)) out.series("", {{"board", row->device.name}, {"device_class", row->device.device_class}}, *one);
    }
  };
  each("outcrop_board_online", "", "1 where it is connected.", [](const BoardRow& row) { return Some(row.online ? 1 : 0); });
  each("outcrop_board_heard_age_seconds", "seconds", "Since it last said something.", [&](const BoardRow& row) {
    return row.device.last_seen ? Some(now_as_seconds(*row.device.last_seen, parts.now)) : std::nullopt;
  });
  const auto serving = [](double Figure::*value) {
    return [value](const BoardRow& row) {
      const Figure* figure = row.serving();
      return figure != nullptr && figure->counts() ? Some(figure->*value / 1e3) : std::nullopt;
    };
  };
  each("outcrop_board_latency_p50_seconds", "seconds", "Median latency that it measured of what it serves.", serving(&Figure::p50_ms));
  each("outcrop_board_latency_p90_seconds", "seconds", "90th percentile of latency that it measured of what it serves.", serving(&Figure::p90_ms));
  each("outcrop_board_temperature_celsius", "celsius", "Its hottest sensor.", [&](const BoardRow& row) {
    const auto sample = parts.history == nullptr ? std::nullopt : parts.history->latest(row.device.name);
    return sample ? sample->temperature : std::nullopt;
  });
}

std::string_view content_type(Exposition::Form form) {
  return form == Exposition::Form::text
             ? "text/plain; version=0.0.4; charset=utf-8"
             : "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

Exposition::Form form_for(std::string_view accept) {
  return accept.find("application/openmetrics-text") == std::string_view::npos
             ? Exposition::Form::text
             : Exposition::Form::open_metrics;
}

void expose_fleet(Exposition& out, const MetricsParts& parts) {
  out.family("outcrop_build", "info", "", "Which outcropd this is.");
  out.series("_info", {{"version", std::string(version())}}, 1);
  expose_boards(out, parts);
  expose_figures(out, parts.view);
  expose_heat(out, parts);
  expose_rollouts(out, parts);
  expose_messages(out, parts);
  expose_database(out, parts);
  expose_history(out, parts);
}

}  // namespace outcrop::fleet
