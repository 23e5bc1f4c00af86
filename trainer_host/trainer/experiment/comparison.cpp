#include "trainer_host/trainer/experiment/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "platform/console/progress_bar.hpp"
#include "platform/console/table.hpp"
#include "protocol/base/durable_file.hpp"
#include "trainer_host/trainer/analyze/charts.hpp"
#include "trainer_host/trainer/analyze/contender_page.hpp"
#include "trainer_host/trainer/analyze/figures.hpp"
#include "trainer_host/trainer/analyze/html_page.hpp"
#include "trainer_host/trainer/analyze/read_results.hpp"
#include "trainer_host/trainer/experiment/board_figures.hpp"
#include "trainer_host/trainer/experiment/figures.hpp"

namespace outcrop::experiment {
namespace fs = std::filesystem;
namespace {

using analyze::Contender;

std::string duration_text(double seconds) {
  return human_duration(std::chrono::duration<double>(seconds));
}

// How many of those that float has right a form loses, in points; of figures of which less is better, the change itself.
std::string change_text(const Contender& one, const Contender& float_form) {
  if (!one.score || !float_form.score || one.is_float) return "";
  const double change = one.score->value - float_form.score->value;
  return (change < 0 ? "−" : "+") + analyze::fixed(std::abs(change) * 100, 2);
}

std::string decibels(const std::optional<double>& value) {
  return value ? analyze::fixed(*value, 1) + " dB" : "";
}

std::string table_of(const std::vector<Contender>& contenders) {
  const Contender& float_form = contenders.front();
  const std::string metric = float_form.metric.empty() ? "score" : float_form.metric;
  const bool classes = std::any_of(contenders.begin(), contenders.end(), [](const Contender& one) { return one.mcnemar.has_value(); });
  std::vector<std::string> headings{"form", "on disk", "of float", metric, "change, points", "p50", "SQNR"};
  if (classes) headings.insert(headings.end(), {"of logits", "McNemar p"});
  Table table(headings);
  for (const Contender& one : contenders) {
    const bool sized = float_form.disk > 0 && one.disk > 0;
    std::vector<std::string> row{one.name, analyze::bytes_text(one.disk),
                                 sized ? analyze::fixed(static_cast<double>(one.disk) / static_cast<double>(float_form.disk), 3) : "",
                                 one.score ? analyze::fixed(one.score->value, 4) : "", change_text(one, float_form),
                                 analyze::milliseconds(one.p50_ms), decibels(one.sqnr_db)};
    if (classes) {
      row.push_back(decibels(one.logits_db));
      row.push_back(one.mcnemar ? analyze::significant(one.mcnemar->p) : "");
    }
    table.add_row(row);
  }
  return table.to_string();
}

// What was done for each step, and what was not.
std::vector<analyze::ResultNote> notes_of(const std::vector<StepFigures>& all, const std::vector<Missing>& missing) {
  std::vector<analyze::ResultNote> notes;
  for (const StepFigures& one : all) {
    std::string text = "made in " + duration_text(one.seconds);
    if (one.trained_seconds > 0) text += ", trained for " + duration_text(one.trained_seconds);
    if (one.trained_seconds > 0 && one.step != baseline_name) text += "; errors are against its own weights in float";
    if (one.samples > 0) {
      text += ", judged on " + std::to_string(one.samples) + (one.held_out ? " held-out samples" : " training samples");
    }
    notes.push_back({one.step, text, false});
    for (const auto& [variant, why] : one.left_out) notes.push_back({one.step, variant + " could not be made: " + why, true});
  }
  for (const Missing& one : missing) notes.push_back({one.step, one.why, true});
  return notes;
}

const Contender* find_form(const std::vector<StepFigures>& all, const BoardFigure& figure) {
  for (const StepFigures& step : all) {
    for (const Contender& one : step.contenders) {
      if (step.step == figure.step && one.name == figure.variant) return &one;
    }
  }
  return nullptr;
}

std::string boards_section(const std::vector<BoardFigure>& boards, const std::vector<StepFigures>& all) {
  const std::string about = "Medians over boards, of each its newest valid measurement; beside them what this machine measured.";
  if (boards.empty()) return analyze::html_section("Measured by boards", "No board has reported a measurement of these releases.", "");
  analyze::HtmlTable table({"class", "result", "form", "boards", "p50 there", "p90 there", "p50 here", "memory there", "memory here"});
  for (const BoardFigure& one : boards) {
    const Contender* here = find_form(all, one);
    const auto p50 = here != nullptr ? here->p50_ms : std::nullopt;
    const std::uint64_t memory = here != nullptr ? here->memory : 0;
    table.add_row({one.device_class, one.step, one.variant, {std::to_string(one.boards), static_cast<double>(one.boards)},
                   {analyze::milliseconds(one.p50_ms), one.p50_ms}, {analyze::milliseconds(one.p90_ms), one.p90_ms},
                   {analyze::milliseconds(p50), p50},
                   {analyze::bytes_text(one.peak_memory), static_cast<double>(one.peak_memory)},
                   {analyze::bytes_text(memory), static_cast<double>(memory)}});
  }
  return analyze::html_section("Measured by boards", about, table.to_string());
}

}  // namespace

Result<std::string> write_comparison(const Experiment& experiment, const ResultPaths& paths,
                                     const std::vector<Missing>& missing, const fs::path& reports) {
  std::vector<BoardFigure> boards;
  if (!reports.empty()) {
    OUTCROP_TRY(read, read_board_figures(reports, experiment, paths));
    boards = std::move(read);
  }
  std::vector<StepFigures> all;
  std::vector<fs::path> folders;
  std::vector<Missing> lacking = missing;
  for (const Step& step : experiment.steps) {
    const bool named = std::any_of(missing.begin(), missing.end(), [&](const Missing& one) { return one.step == step.name; });
    std::error_code error;
    if (!fs::exists(paths.metrics(step.name), error)) {
      if (!named) lacking.push_back({step.name, "was not made yet"});
      continue;
    }
    OUTCROP_TRY(figures, read_figures(paths.metrics(step.name)));
    all.push_back(std::move(figures));
    folders.push_back(paths.step(step.name));
  }
  if (all.empty()) {
    return fail(ErrorCode::not_found, paths.out.string() + " has no figures of any step to compare" +
                                          (missing.empty() ? "" : ": " + missing.front().step + ": " + missing.front().why));
  }
  OUTCROP_TRY(contenders, analyze::read_results(folders));
  for (Contender& one : contenders) one.from = fs::path(one.from).filename().string();
  const fs::path out = paths.comparison();
  std::error_code error;
  fs::create_directories(out, error);
  if (error) return fail(ErrorCode::io, "making " + out.string() + ": " + error.message());
  OUTCROP_CHECK(write_file_durably(out / "summary.csv", std::string_view(analyze::contenders_csv(contenders))));
  if (!reports.empty()) OUTCROP_CHECK(write_file_durably(out / "boards.csv", std::string_view(boards_csv(boards))));
  OUTCROP_CHECK(write_file_durably(
      out / "report.html",
      std::string_view(analyze::comparison_page(contenders, {experiment.name}, notes_of(all, lacking),
                                                reports.empty() ? "" : boards_section(boards, all)))));
  if (const Status drawn = analyze::draw_charts(contenders, out, experiment.name); !drawn) {
    std::fprintf(stderr, "note: no pictures: %s\n", drawn.error().message().c_str());
  }
  std::string text = table_of(contenders) + "\n";
  for (const std::string& sentence : analyze::comparison_summary(contenders)) text += sentence + "\n";
  for (const Missing& one : lacking) text += "MISSING " + one.step + ": " + one.why + "\n";
  return text + (out / "report.html").string() + "\n";
}

}  // namespace outcrop::experiment
