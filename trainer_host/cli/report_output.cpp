#include <algorithm>
#include <tuple>

#include "platform/console/table.hpp"
#include "protocol/base/bytes.hpp"
#include "protocol/base/join.hpp"
#include "trainer_host/cli/fleet_output.hpp"
#include "trainer_host/cli/human.hpp"

namespace outcrop::cli {
namespace {

// All that boards said of one release on one board.
struct Story {
  std::string board;
  std::string manifest;
  Json newest;                           // report
  std::map<std::string, Json> variants;  // by name, from the newest report that tells of it
};

bool was_tried(const Json& variant) {
  return variant.at("outcome").get<std::string>() != "not-measured";
}

// A variant that was tried, or that the board left out because it cannot run it.
bool tells_something(const Json& variant) {
  const auto reason = variant.at("reason").get<std::string>();
  return was_tried(variant) || (!reason.empty() && reason != "not asked for");
}

// Reports come newest first.
std::vector<Story> stories_of(const Json& reports) {
  std::vector<Story> stories;
  for (const Json& entry : reports) {
    const Json& report = entry.at("report");
    const auto board = report.at("device").get<std::string>();
    const auto manifest = report.at("manifest").get<std::string>();
    auto story = std::find_if(stories.begin(), stories.end(), [&](const Story& known) {
      return known.board == board && known.manifest == manifest;
    });
    if (story == stories.end()) {
      stories.push_back({board, manifest, report, {}});
      story = std::prev(stories.end());
    }
    for (const Json& variant : report.at("variants")) {
      const auto name = variant.at("name").get<std::string>();
      const auto known = story->variants.find(name);
      if (known == story->variants.end() || (!was_tried(known->second) && was_tried(variant))) {
        story->variants[name] = variant;
      }
    }
  }
  return stories;
}

const Json* find_named(const Json& list, const char* key, const std::string& name) {
  for (const Json& entry : list) {
    if (entry.at(key).get<std::string>() == name) return &entry;
  }
  return nullptr;
}

// The manifest where outcropd could show it.
const Json* document_of(const ReleaseDetails& releases, const std::string& manifest) {
  const auto found = releases.find(manifest);
  if (found == releases.end()) return nullptr;
  const auto document = found->second.find("document");
  return document == found->second.end() || document->is_null() ? nullptr : &*document;
}

std::string stage_of(const ReleaseDetails& releases, const std::string& manifest) {
  const auto found = releases.find(manifest);
  return found == releases.end() ? short_digest(manifest)
                                 : std::to_string(found->second.at("stage").get<std::uint64_t>());
}

// How much of its tolerance an output took up; without a manifest all count the same.
double share_of_tolerance(const Json* document, const std::string& variant, const Json& distance) {
  if (document == nullptr) return 0;
  const Json* const described = find_named(document->at("variants"), "name", variant);
  if (described == nullptr) return 0;
  const Json* const bound =
      find_named(described->at("tolerance"), "output", distance.at("output").get<std::string>());
  if (bound == nullptr) return 0;
  const double allowed = bound->at("mean_abs").get<double>();
  return allowed > 0 ? distance.at("mean_abs").get<double>() / allowed : 0;
}

// The mean error of the output that came nearest to its tolerance, with its unit.
std::string error_cell(const Json* document, const std::string& variant, const Json& proof) {
  const Json* worst = nullptr;
  for (const Json& distance : proof) {
    if (worst == nullptr || share_of_tolerance(document, variant, distance) >
                                share_of_tolerance(document, variant, *worst)) {
      worst = &distance;
    }
  }
  if (worst == nullptr) return "–";
  const auto output = worst->at("output").get<std::string>();
  std::string unit = output;
  if (document != nullptr) {
    const Json* const described = find_named(document->at("golden").at("outputs"), "name", output);
    if (described != nullptr) unit = described->at("unit").get<std::string>();
  }
  return short_number(worst->at("mean_abs").get<double>()) + " " + unit;
}

std::vector<std::string> variant_names(const Json* document, const Story& story) {
  std::vector<std::string> names;
  if (document != nullptr) {
    for (const Json& variant : document->at("variants")) {
      names.push_back(variant.at("name").get<std::string>());
    }
  }
  for (const auto& [name, variant] : story.variants) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

// What a board says that counts; "void" where it says itself that its figures do not.
std::vector<std::string> figure_cells(const Json* variant) {
  constexpr std::size_t cells = 5;
  if (variant == nullptr || variant->at("measurement").is_null()) return {cells, "–"};
  const Json& measured = variant->at("measurement");
  if (!measured.at("void_because").empty()) return {cells, "void"};
  std::vector<std::string> row;
  for (const char* key : {"p50_ms", "p90_ms", "first_ms", "load_ms"}) {
    row.push_back(short_number(measured.at(key).get<double>()));
  }
  row.push_back(ByteCount(measured.at("peak_memory").get<std::uint64_t>()).human());
  return row;
}

// "UPDATED, serves" in the row of the variant that was chosen, else how the variant fared.
std::string state_cell(const Story& story, const std::string& name, const Json* variant) {
  const Json& active = story.newest.at("active");
  const auto state = story.newest.at("state").get<std::string>();
  if (active.at("manifest").get<std::string>() == story.manifest &&
      active.at("variant").get<std::string>() == name) {
    return state + ", serves";
  }
  if (variant == nullptr) return "not measured";
  const auto outcome = variant->at("outcome").get<std::string>();
  if (outcome == "not-measured") return "not measured";
  if (outcome == "not-measurable") return "not measurable";
  return state == "UPDATED" ? outcome : state;
}

void add_rows(Table& table, std::string& notes, const Story& story,
              const ReleaseDetails& releases) {
  const Json* const document = document_of(releases, story.manifest);
  const std::string stage = stage_of(releases, story.manifest);
  std::vector<std::pair<std::string, std::string>> reasons;  // variants, and why
  for (const std::string& name : variant_names(document, story)) {
    const auto found = story.variants.find(name);
    const Json* const variant = found == story.variants.end() ? nullptr : &found->second;
    std::vector<std::string> row{story.board, stage, name};
    for (std::string& cell : figure_cells(variant)) row.push_back(std::move(cell));
    row.push_back(variant == nullptr ? "–" : error_cell(document, name, variant->at("proof")));
    row.push_back(state_cell(story, name, variant));
    table.add_row(std::move(row));
    const bool told = variant != nullptr && tells_something(*variant);
    const std::string why = told ? variant->at("reason").get<std::string>() : "";
    if (why.empty()) continue;
    const auto same = std::find_if(reasons.begin(), reasons.end(),
                                   [&](const auto& known) { return known.second == why; });
    if (same == reasons.end()) {
      reasons.emplace_back(name, why);
    } else {
      same->first += ", " + name;
    }
  }
  for (const auto& [names, why] : reasons) {
    notes += story.board + ", stage " + stage + ", " + names + ": " + why + "\n";
  }
  const auto reason = story.newest.at("reason").get<std::string>();
  if (!reason.empty()) {
    notes += story.board + ", stage " + stage + ": " + story.newest.at("state").get<std::string>() +
             ": " + reason + "\n";
  }
}

// "with qnnpack, onednn" behind an engine, and what computes wrongly in a line for each backend.
// A board that speaks protocol 1 tells of none.
struct Kernels {
  std::string with;
  std::vector<std::string> wrong;
};
Kernels kernels_of(const Json& engine) {
  Kernels kernels;
  const auto backends = engine.find("backends");
  const bool known = !engine.at("version").get<std::string>().empty();  // else no runner started
  if (backends == engine.end() || !known) return kernels;
  std::vector<std::string> names;
  for (const Json& backend : *backends) {
    names.push_back(backend.at("name").get<std::string>());
    const auto failed = backend.at("failed").get<std::vector<std::string>>();
    if (failed.empty()) continue;
    kernels.wrong.push_back(
        names.back() +
        " computes wrongly there, and variants that use these are left out: " + join(failed));
  }
  kernels.with = names.empty() ? " without quantized kernels" : " with " + join(names);
  return kernels;
}

// "board-1: torch 1.13.1 with qnnpack, confinement full", by the newest report of each board.
std::string engines(const Json& reports) {
  std::map<std::string, std::string> lines;
  for (const Json& entry : reports) {  // newest first
    const Json& report = entry.at("report");
    const Json& confinement = report.at("confinement");
    const Json& engine = report.at("engine");
    const Kernels kernels = kernels_of(engine);
    std::string line = engine.at("name").get<std::string>() + " " +
                       engine.at("version").get<std::string>() + kernels.with + ", confinement " +
                       confinement.at("level").get<std::string>();
    const auto missing = confinement.at("missing").get<std::vector<std::string>>();
    if (!missing.empty()) line += " (" + join(missing, "; ") + ")";
    const auto board = report.at("device").get<std::string>();
    for (const std::string& wrong : kernels.wrong) line += "\n" + board + ": " + wrong;
    lines.emplace(board, std::move(line));
  }
  std::string text;
  for (const auto& [board, line] : lines) text += board + ": " + line + "\n";
  return text;
}

}  // namespace

std::string report_table(const Json& reports, const ReleaseDetails& releases) {
  std::vector<Story> stories = stories_of(reports.at("reports"));
  if (stories.empty()) return "No report yet: boards report once they have tried a release\n";
  const auto order = [&](const Story& story) {
    const auto found = releases.find(story.manifest);
    const std::string published =
        found == releases.end() ? "" : found->second.value("published", "");
    return std::tuple(story.board, published, story.manifest);
  };
  std::sort(stories.begin(), stories.end(),
            [&](const Story& a, const Story& b) { return order(a) < order(b); });
  Table table({"board", "stage", "variant", "p50 ms", "p90 ms", "first", "load", "memory", "error",
               "state"});
  std::string notes;
  for (const Story& story : stories) add_rows(table, notes, story, releases);
  return table.to_string() + "\n" + notes + engines(reports.at("reports"));
}

}  // namespace outcrop::cli
