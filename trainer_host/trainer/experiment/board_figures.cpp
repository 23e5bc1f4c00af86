#include "trainer_host/trainer/experiment/board_figures.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <tuple>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/median.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/report.hpp"

namespace outcrop::experiment {
namespace fs = std::filesystem;
namespace {

constexpr ByteCount largest_answer = ByteCount::mib(256);

// The step whose release this manifest is of; "" where it is of none.
std::string step_of(const trust::Sha256Digest& manifest, const Experiment& experiment, const ResultPaths& paths) {
  for (const Step& step : experiment.steps) {
    std::error_code error;
    for (const auto& release : fs::directory_iterator(paths.step(step.name) / "releases", error)) {
      if (fs::exists(release.path() / "blobs" / manifest.hex(), error)) return step.name;
    }
  }
  return "";
}

struct Measured {
  std::vector<double> p50, p90, memory;
};

}  // namespace

Result<std::vector<BoardFigure>> read_board_figures(const fs::path& reports, const Experiment& experiment,
                                                    const ResultPaths& paths) {
  OUTCROP_TRY(text, read_text_file(reports, largest_answer));
  OUTCROP_TRY(json, messages::parse_object(text, largest_answer, reports.string()));
  const auto list = json.find("reports");
  if (list == json.end() || !list->is_array()) {
    return fail(ErrorCode::invalid_data, reports.string() + " has no reports: give what outcrop fleet reports --json printed");
  }
  using Form = std::tuple<std::string, std::string, std::string>;  // class, step, variant
  std::map<Form, Measured> all;
  std::set<std::pair<std::string, Form>> known;  // of a board the newest alone
  for (const auto& entry : *list) {
    const auto found = entry.find("report");
    if (found == entry.end()) return fail(ErrorCode::invalid_data, reports.string() + ": an entry has no report");
    const std::string one = json_text(*found);
    auto report = messages::parse_report(as_bytes(one));
    if (!report) return fail(report.error().context(reports.string()));
    const std::string step = step_of(report->deployment.manifest, experiment, paths);
    if (step.empty()) continue;
    for (const messages::ReportedVariant& variant : report->variants) {
      if (!variant.measurement || !variant.measurement->void_because.empty()) continue;
      const Form form{report->device_class, step, variant.name};
      if (!known.emplace(report->header.device, form).second) continue;
      Measured& of = all[form];
      of.p50.push_back(variant.measurement->p50_ms);
      of.p90.push_back(variant.measurement->p90_ms);
      of.memory.push_back(static_cast<double>(variant.measurement->peak_memory.value()));
    }
  }
  std::vector<BoardFigure> figures;
  for (const auto& [form, of] : all) {
    figures.push_back({std::get<0>(form), std::get<1>(form), std::get<2>(form), of.p50.size(), median(of.p50), median(of.p90),
                       static_cast<std::uint64_t>(median(of.memory))});
  }
  return figures;
}

std::string boards_csv(const std::vector<BoardFigure>& figures) {
  std::ostringstream text;
  text << "device_class,result,form,boards,p50_ms,p90_ms,peak_memory_bytes\n";
  for (const BoardFigure& one : figures) {
    text << one.device_class << "," << one.step << "," << one.variant << "," << one.boards << "," << one.p50_ms << "," << one.p90_ms
         << "," << one.peak_memory << "\n";
  }
  return text.str();
}

}  // namespace outcrop::experiment
