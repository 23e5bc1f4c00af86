#include "trainer_host/trainer/analyze/contender_page.hpp"

#include <algorithm>
#include <functional>

#include "protocol/base/join.hpp"
#include "trainer_host/trainer/analyze/figures.hpp"
#include "trainer_host/trainer/analyze/html_page.hpp"
#include "trainer_host/trainer/analyze/svg.hpp"

namespace outcrop::analyze {
namespace {

std::string colour_of(const Contender& one) {
  return one.is_float ? "before" : "after";
}

using BarOf = std::function<std::optional<Bar>(const Contender&)>;

std::string bars_of(const std::vector<Contender>& contenders, const std::string& title, const BarOf& bar_of,
                    const std::string& note = "") {
  std::vector<Bar> bars;
  for (const Contender& one : contenders) {
    auto bar = bar_of(one);
    if (!bar) continue;
    bar->colour = colour_of(one);
    bars.push_back(std::move(*bar));
  }
  return bars.empty() ? "" : bar_chart(title, bars, note);
}

std::optional<Bar> bytes_bar(const std::string& name, std::uint64_t bytes) {
  if (bytes == 0) return std::nullopt;
  return Bar{name, static_cast<double>(bytes), bytes_text(bytes)};
}

std::string error_scatter(const std::vector<Contender>& contenders) {
  std::vector<Dot> dots;
  const ByteUnit unit = byte_unit_of(contenders);
  for (const Contender& one : contenders) {
    if (!one.error || one.disk == 0) continue;
    dots.push_back({one.name, static_cast<double>(one.disk) / unit.bytes, *one.error, colour_of(one)});
  }
  if (dots.size() < 2) return {};
  return scatter_chart("Error against size: the lower left corner is best", "on disk, " + unit.name,
                       "mean error of the output", dots);
}

// The best of those that are no float, by a figure of which less is better; null where nobody knows it.
const Contender* least_of(const std::vector<Contender>& contenders,
                          const std::function<std::optional<double>(const Contender&)>& value) {
  const Contender* best = nullptr;
  for (const Contender& one : contenders) {
    if (one.is_float || !value(one)) continue;
    if (best == nullptr || *value(one) < *value(*best)) best = &one;
  }
  return best;
}

std::string csv_value(const std::optional<double>& value) {
  return value ? significant(*value) : "";
}

std::string csv_bytes(std::uint64_t bytes) {
  return bytes > 0 ? std::to_string(bytes) : "";
}

std::optional<double> number(std::uint64_t bytes) {
  return bytes > 0 ? std::optional<double>(static_cast<double>(bytes)) : std::nullopt;
}

std::string optional_text(const std::optional<double>& value) {
  return value ? significant(*value) : nothing;
}

bool knows_metric(const std::vector<Contender>& contenders) {
  return std::any_of(contenders.begin(), contenders.end(), [](const Contender& one) { return one.score.has_value(); });
}

std::string metric_of(const std::vector<Contender>& contenders) {
  for (const Contender& one : contenders) {
    if (one.score) return one.metric;
  }
  return {};
}

bool knows_mcnemar(const std::vector<Contender>& contenders) {
  return std::any_of(contenders.begin(), contenders.end(), [](const Contender& one) { return one.mcnemar.has_value(); });
}

// "3 : 1, p 0.63": of 4 samples that one of both alone has right, float 3.
std::string mcnemar_text(const std::optional<McNemar>& test) {
  if (!test) return nothing;
  return std::to_string(test->only_before) + " : " + std::to_string(test->only_after) + ", p " + significant(test->p);
}

std::string table_of(const std::vector<Contender>& contenders) {
  const bool metric = knows_metric(contenders);
  const bool mcnemar = knows_mcnemar(contenders);
  std::vector<std::string> headings{"form", "result", "on disk", "in transfer", "peak memory", "p50",
                                    "p90", "mean error", "SQNR"};
  if (metric) headings.push_back(metric_of(contenders));
  if (mcnemar) headings.insert(headings.end(), {"right alone, float : it (McNemar)", "SQNR of logits"});
  HtmlTable table(headings);
  for (const Contender& one : contenders) {
    std::vector<HtmlTable::Cell> cells{one.name,
                                       one.from,
                                       {bytes_text(one.disk), number(one.disk)},
                                       {bytes_text(one.transfer), number(one.transfer)},
                                       {bytes_text(one.memory), number(one.memory)},
                                       {milliseconds(one.p50_ms), one.p50_ms},
                                       {milliseconds(one.p90_ms), one.p90_ms},
                                       {optional_text(one.error), one.error},
                                       {one.sqnr_db ? fixed(*one.sqnr_db, 1) + " dB" : nothing, one.sqnr_db}};
    if (metric) {
      cells.emplace_back(one.score ? interval_text(*one.score, 4) : nothing,
                         one.score ? std::optional<double>(one.score->value) : std::nullopt);
    }
    if (mcnemar) {
      cells.emplace_back(mcnemar_text(one.mcnemar), one.mcnemar ? std::optional<double>(one.mcnemar->p) : std::nullopt);
      cells.emplace_back(one.logits_db ? fixed(*one.logits_db, 1) + " dB" : nothing, one.logits_db);
    }
    table.add_row(cells);
  }
  return table.to_string();
}

std::string score_scatter(const std::vector<Contender>& contenders) {
  std::vector<Dot> dots;
  const ByteUnit unit = byte_unit_of(contenders);
  for (const Contender& one : contenders) {
    if (!one.score || one.disk == 0) continue;
    dots.push_back({one.name, static_cast<double>(one.disk) / unit.bytes, one.score->value, colour_of(one),
                    std::pair(one.score->low, one.score->high)});
  }
  if (dots.size() < 2) return {};
  const std::string metric = metric_of(contenders);
  return scatter_chart(metric + " against size, with 95 % intervals", "on disk, " + unit.name, metric, dots, /*from_zero=*/false);
}

std::string notes_of(const std::vector<ResultNote>& notes) {
  HtmlTable table({"result", "", "what is to be known"});
  for (const ResultNote& note : notes) table.add_row({note.result, note.amiss ? "missing" : "", note.text});
  return table.to_string();
}

}  // namespace

std::string contender_charts(const std::vector<Contender>& contenders) {
  std::string html = "<div class=\"charts\">\n";
  html += bars_of(contenders, "Size on disk", [](const Contender& one) { return bytes_bar(one.name, one.disk); });
  html += bars_of(contenders, "Size in transfer (zstd)",
                  [](const Contender& one) { return bytes_bar(one.name, one.transfer); });
  html += bars_of(contenders, "Time of one call, median",
                  [](const Contender& one) -> std::optional<Bar> {
                    if (!one.p50_ms) return std::nullopt;
                    return Bar{one.name, *one.p50_ms, milliseconds(one.p50_ms), "after",
                               one.name + ": median " + milliseconds(one.p50_ms) + ", p90 " +
                                   milliseconds(one.p90_ms)};
                  });
  html += bars_of(contenders, "Peak memory of the runner",
                  [](const Contender& one) { return bytes_bar(one.name, one.memory); });
  html += error_scatter(contenders);
  const Radar radar = radar_of(contenders);
  if (!radar.axes.empty()) {
    std::vector<RadarShape> shapes;
    for (const auto& [label, values] : radar.shapes) shapes.push_back({label, values});
    html += radar_chart("All at once: the rim is best", radar.axes, shapes);
  }
  return html + "</div>\n";
}

std::vector<std::string> comparison_summary(const std::vector<Contender>& contenders) {
  std::vector<std::string> sentences;
  const auto add = [&](const Contender* best, const std::string& what, const std::string& figure) {
    if (best != nullptr) sentences.push_back(best->name + " is the " + what + ": " + figure + ".");
  };
  const auto* smallest = least_of(contenders, [](const Contender& one) { return number(one.disk); });
  add(smallest, "smallest", smallest != nullptr ? bytes_text(smallest->disk) + " on disk" : "");
  const auto* fastest = least_of(contenders, [](const Contender& one) { return one.p50_ms; });
  add(fastest, "fastest", fastest != nullptr ? milliseconds(fastest->p50_ms) + " at the median" : "");
  const auto* nearest = least_of(contenders, [](const Contender& one) { return one.error; });
  add(nearest, "nearest to float", nearest != nullptr ? "a mean error of " + significant(*nearest->error) : "");
  const bool one_result = std::all_of(contenders.begin(), contenders.end(), [&](const Contender& one) {
    return one.from == contenders.front().from;
  });
  if (fastest != nullptr && !one_result) {
    sentences.emplace_back("Times of different results were not measured together: what else the machine did may be "
                           "between them.");
  }
  return sentences;
}

std::string contenders_csv(const std::vector<Contender>& contenders) {
  std::string text =
      "form,result,disk_bytes,transfer_bytes,peak_memory_bytes,p50_ms,p90_ms,mean_abs_error,sqnr_db,"
      "multiply_adds_in_codes,metric,score,score_low,score_high,only_float_right,only_it_right,mcnemar_p,logits_sqnr_db\n";
  for (const Contender& one : contenders) {
    std::vector<std::string> cells{one.name,
                                   one.from,
                                   csv_bytes(one.disk),
                                   csv_bytes(one.transfer),
                                   csv_bytes(one.memory),
                                   csv_value(one.p50_ms),
                                   csv_value(one.p90_ms),
                                   csv_value(one.error),
                                   csv_value(one.sqnr_db),
                                   csv_value(one.in_codes),
                                   one.metric};
    for (const double value : {one.score.value_or(Interval{}).value, one.score.value_or(Interval{}).low,
                               one.score.value_or(Interval{}).high}) {
      cells.push_back(one.score ? significant(value) : "");
    }
    cells.push_back(one.mcnemar ? std::to_string(one.mcnemar->only_before) : "");
    cells.push_back(one.mcnemar ? std::to_string(one.mcnemar->only_after) : "");
    cells.push_back(one.mcnemar ? significant(one.mcnemar->p) : "");
    cells.push_back(csv_value(one.logits_db));
    for (std::string& cell : cells) std::replace(cell.begin(), cell.end(), ',', ' ');
    text += join(cells, ",") + "\n";
  }
  return text;
}

std::string comparison_page(const std::vector<Contender>& contenders, const std::vector<std::string>& results,
                            const std::vector<ResultNote>& notes, const std::string& more_sections) {
  std::string body = "<ul class=\"summary\">\n";
  for (const std::string& sentence : comparison_summary(contenders)) body += "<li>" + escaped(sentence) + "</li>\n";
  body += "</ul>\n<p class=\"key\"><i class=\"before\"></i>float<i class=\"after\"></i>quantized</p>\n";
  body += html_section("Side by side", "Mean error is that of the first output, against float. Click a heading to sort.",
                       table_of(contenders));
  const std::string errors = bars_of(contenders, "Mean error of the output", [](const Contender& one) -> std::optional<Bar> {
    if (!one.error) return std::nullopt;
    return Bar{one.name, *one.error, significant(*one.error)};
  });
  const std::string scores = bars_of(contenders, "Task: " + metric_of(contenders), [](const Contender& one) -> std::optional<Bar> {
    if (!one.score) return std::nullopt;
    return Bar{one.name, one.score->value, fixed(one.score->value, 4)};
  });
  body += html_section("Error", "", "<div class=\"charts\">\n" + errors + scores + score_scatter(contenders) + "</div>\n");
  body += html_section("Cost", "", contender_charts(contenders));
  body += more_sections;
  if (!notes.empty()) body += html_section("How it was made", "", notes_of(notes));
  return html_page("Quantizations side by side", join(results), body);
}

}  // namespace outcrop::analyze
