#include <algorithm>
#include <tuple>

#include "platform/console/columns.hpp"
#include "platform/console/table.hpp"
#include "protocol/base/bytes.hpp"
#include "protocol/base/join.hpp"
#include "trainer_host/cli/fleet_output.hpp"
#include "trainer_host/cli/human.hpp"

namespace outcrop::cli {
namespace {

// A variant, by the newest report that tells of it.
struct Found {
  Json variant;
  std::string measured;  // when the host had the first report with these very figures
};

// All that boards said of one release on one board.
struct Story {
  std::string board;
  std::string manifest;
  Json newest;           // report
  std::string received;  // when the host had it
  std::map<std::string, Found> variants;
};

bool was_tried(const Json& variant) {
  return variant.at("outcome").get<std::string>() != "not-measured";
}

// A variant that was tried, or that the board left out because it cannot run it.
bool tells_something(const Json& variant) {
  const auto reason = variant.at("reason").get<std::string>();
  return was_tried(variant) || (!reason.empty() && reason != "not asked for");
}

// A board repeats in each report what it measured once.
bool is_same_measurement(const Json& a, const Json& b) {
  return was_tried(a) && was_tried(b) && a.at("measurement") == b.at("measurement") &&
         a.at("proof") == b.at("proof");
}

void add_variant(Story& story, const Json& variant, const std::string& received) {
  const auto name = variant.at("name").get<std::string>();
  const auto known = story.variants.find(name);
  if (known == story.variants.end() || (!was_tried(known->second.variant) && was_tried(variant))) {
    story.variants[name] = {variant, received};
  } else if (is_same_measurement(known->second.variant, variant)) {
    known->second.measured = received;
  }
}

// Reports come newest first.
std::vector<Story> stories_of(const Json& reports) {
  std::vector<Story> stories;
  for (const Json& entry : reports) {
    const Json& report = entry.at("report");
    const auto board = report.at("device").get<std::string>();
    const auto manifest = report.at("manifest").get<std::string>();
    const auto received = entry.at("received").get<std::string>();
    auto story = std::find_if(stories.begin(), stories.end(), [&](const Story& known) {
      return known.board == board && known.manifest == manifest;
    });
    if (story == stories.end()) {
      stories.push_back({board, manifest, report, received, {}});
      story = std::prev(stories.end());
    }
    for (const Json& variant : report.at("variants")) add_variant(*story, variant, received);
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

// By the signature; before protocol 4 the golden part says it.
std::string unit_of(const Json& document, const std::string& output) {
  const auto signature = document.find("signature");
  if (signature == document.end()) {
    const Json* const described =
        find_named(document.at("golden").at("outputs"), "name", output);
    return described == nullptr ? output : described->at("unit").get<std::string>();
  }
  for (const Json& method : signature->at("methods")) {
    const Json* const described = find_named(method.at("outputs"), "name", output);
    if (described != nullptr) return described->at("unit").get<std::string>();
  }
  return output;
}

// How far it was from the float model: the mean error of the output that came nearest to its
// tolerance, with its unit.
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
    unit = unit_of(*document, output);
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

// What each board serves now, by its own word: manifest and variant.
using Serving = std::map<std::string, std::pair<std::string, std::string>>;

Serving serving_of(const Json& devices) {
  Serving serving;
  for (const Json& device : devices) {
    const Json& status = device.at("status");
    if (!device.at("revoked").is_null() || status.is_null()) continue;
    const Json& active = status.at("active");
    if (active.is_null() || active.at("manifest").is_null()) continue;
    serving[device.at("name").get<std::string>()] = {active.at("manifest").get<std::string>(),
                                                     active.at("variant").get<std::string>()};
  }
  return serving;
}

bool serves(const Serving& serving, const Story& story, const std::string& variant) {
  const auto found = serving.find(story.board);
  return found != serving.end() && found->second == std::pair(story.manifest, variant);
}

// How a variant fared where its figures do not say it.
std::string fate_of(const Json* variant) {
  if (variant == nullptr) return "not measured";
  const auto outcome = variant->at("outcome").get<std::string>();
  if (outcome == "measured") return "";
  if (outcome == "not-measured") return "not measured";
  return outcome == "not-measurable" ? "not measurable" : outcome;
}

// "serves", and how it fared.
std::string state_cell(bool serving, const Json* variant) {
  const std::string fate = fate_of(variant);
  if (!serving) return fate;
  return fate.empty() ? "serves" : "serves, " + fate;
}

// "board-1, stage 2"
std::string title_of(const Story& story, const ReleaseDetails& releases) {
  return story.board + ", " + stage_in_words(releases, story.manifest);
}

// What stands below the table of one story: why variants have no figures, and how it all ended.
std::string notes_of(const Story& story, const ReleaseDetails& releases,
                     const std::vector<std::string>& not_tried, Timestamp now) {
  const std::string title = title_of(story, releases);
  std::vector<std::pair<std::string, std::string>> reasons;  // variants, and why
  for (const auto& [name, found] : story.variants) {
    const Json& variant = found.variant;
    const std::string why = tells_something(variant) ? variant.at("reason").get<std::string>() : "";
    if (why.empty()) continue;
    const auto same = std::find_if(reasons.begin(), reasons.end(),
                                   [&](const auto& known) { return known.second == why; });
    if (same == reasons.end()) {
      reasons.emplace_back(name, why);
    } else {
      same->first += ", " + name;
    }
  }
  std::string notes;
  if (!not_tried.empty()) notes += title + ": not tried there: " + join(not_tried) + "\n";
  for (const auto& [names, why] : reasons) notes += title + ", " + names + ": " + why + "\n";
  const auto state = story.newest.at("state").get<std::string>();
  const auto reason = story.newest.at("reason").get<std::string>();
  if (state != "UPDATED" || !reason.empty()) {
    notes += title + ": " + state + " " + age(story.received, now) +
             (reason.empty() ? "" : ": " + reason) + "\n";
  }
  return notes;
}

void add_rows(Table& table, std::string& notes, const Story& story, const ReleaseDetails& releases,
              const Serving& serving, Timestamp now) {
  const Json* const document = document_of(releases, story.manifest);
  std::vector<std::string> not_tried;
  for (const std::string& name : variant_names(document, story)) {
    const auto found = story.variants.find(name);
    const Json* const variant = found == story.variants.end() ? nullptr : &found->second.variant;
    const bool active = serves(serving, story, name);
    const bool tried = variant != nullptr && was_tried(*variant);
    if (!tried && !active) {
      // Where the board gave a reason of its own, that stands in the notes.
      if (variant == nullptr || !tells_something(*variant)) not_tried.push_back(name);
      continue;
    }
    std::vector<std::string> row{story.board, stage_of(releases, story.manifest), name};
    for (std::string& cell : figure_cells(variant)) row.push_back(std::move(cell));
    row.push_back(variant == nullptr ? "–" : error_cell(document, name, variant->at("proof")));
    row.push_back(state_cell(active, variant));
    row.push_back(tried ? since(found->second.measured, now) : "–");
    row.push_back(tried ? found->second.measured : "–");
    table.add_row(std::move(row));
  }
  notes += notes_of(story, releases, not_tried, now);
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

std::string report_table(const Json& reports, const ReleaseDetails& releases, const Fleet& fleet,
                         const View& view) {
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
  const Serving serving = serving_of(fleet.devices.at("devices"));
  Table table({"board", "stage", "variant", "p50 ms", "p90 ms", "first", "load", "memory",
               "against float", "state", "age", "at"});
  table.less_needed({"at", "load", "first", "p50 ms", "memory"});
  std::string notes;
  for (const Story& story : stories) add_rows(table, notes, story, releases, serving, view.now);
  notes += engines(reports.at("reports"));
  return (table.empty() ? "" : table.to_string(view.width) + "\n") + wrapped(notes, view.width);
}

}  // namespace outcrop::cli
