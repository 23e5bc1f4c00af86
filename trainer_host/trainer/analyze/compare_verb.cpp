#include "trainer_host/trainer/analyze/compare_verb.hpp"

#include <cstdio>
#include <memory>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/without_controls.hpp"
#include "trainer_host/trainer/analyze/charts.hpp"
#include "trainer_host/trainer/analyze/contender_page.hpp"
#include "trainer_host/trainer/analyze/read_results.hpp"

namespace outcrop::analyze {
namespace fs = std::filesystem;
namespace {

// A result must not become a comparison because somebody forgot to name where that goes.
Status check_no_result(const fs::path& out) {
  std::error_code error;
  for (const char* mark : {"metrics.json", "quantization.json", "checkpoint", "training.csv"}) {
    if (!fs::exists(out / mark, error)) continue;
    return fail(ErrorCode::invalid_argument,
                out.string() + " holds a result (" + mark + "); the last folder named is where the comparison goes, "
                               "a new or empty one");
  }
  return {};
}

Status compare(std::vector<fs::path> folders) {
  const fs::path out = folders.back();
  folders.pop_back();
  OUTCROP_CHECK(check_no_result(out));
  OUTCROP_TRY(contenders, read_results(folders));
  std::error_code error;
  fs::create_directories(out, error);
  if (error) return fail(ErrorCode::io, "making " + out.string() + ": " + error.message());
  std::vector<std::string> names;
  for (const fs::path& folder : folders) names.push_back(folder.string());
  OUTCROP_CHECK(write_file_durably(out / "comparison.csv", contenders_csv(contenders)));
  OUTCROP_CHECK(write_file_durably(out / "report.html", comparison_page(contenders, names)));
  if (const Status drawn = draw_charts(contenders, out); !drawn) {
    std::fprintf(stderr, "note: no pictures: %s\n", drawn.error().message().c_str());
  }
  for (const std::string& sentence : comparison_summary(contenders)) {
    std::printf("%s\n", without_controls(sentence).c_str());
  }
  std::printf("%s\n", (out / "report.html").c_str());
  return {};
}

}  // namespace

void add_compare(CLI::App& app, cli::Action& chosen) {
  auto folders = std::make_shared<std::vector<fs::path>>();
  CLI::App* verb = app.add_subcommand(
      "compare",
      "Put results beside each other, of outcrop analyze or quantize, or the stages of a run: one table, charts and "
      "a page of error, size, time and memory.");
  verb->add_option("RESULTS... OUT", *folders,
                   "Folders of results, and last the folder for the comparison: new, empty, or of an earlier one")
      ->required()
      ->expected(2, 1000);
  verb->footer(
      "Examples:\n"
      "  outcrop compare report-qint8 report-quint8 comparison\n"
      "  outcrop compare run comparison");
  verb->callback([folders, &chosen] { chosen = [folders] { return compare(*folders); }; });
}

}  // namespace outcrop::analyze
