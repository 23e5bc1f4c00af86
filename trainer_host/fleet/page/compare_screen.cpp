#include <algorithm>
#include <map>
#include <set>

#include "trainer_host/fleet/page/dots.hpp"
#include "trainer_host/fleet/page/screens.hpp"
#include "trainer_host/fleet/page/words.hpp"

namespace outcrop::fleet::page {
namespace {

std::string word(const Query& query, const std::string& name) {
  const auto found = query.find(name);
  return found == query.end() ? "" : found->second;
}

Html choice(const FleetView& view, const std::string& model, const char* name, const char* label,
            const std::optional<trust::Sha256Digest>& chosen) {
  Html html;
  html << "<label>" << std::string(label) << " <select name=\"" << std::string(name) << "\">";
  for (const ReleaseRecord& release : view.releases()) {
    if (release.model != model) continue;
    html << "<option value=\"" << release.manifest.hex() << "\"";
    if (chosen == release.manifest) html << " selected";
    html << ">stage " << release.stage << " (" << release.manifest.short_hex() << ")</option>";
  }
  return html << "</select></label>";
}

Html form(const FleetView& view, const std::set<std::string>& models, const std::string& model,
          const std::optional<ReleasePair>& pair) {
  Html html;
  html << "<form class=\"filter\" action=\"/compare\"><label>Model <select name=\"model\">";
  for (const std::string& one : models) {
    html << "<option";
    if (one == model) html << " selected";
    html << ">" << one << "</option>";
  }
  html << "</select></label>"
       << choice(view, model, "a", "From", pair ? std::optional(pair->before) : std::nullopt)
       << choice(view, model, "b", "to", pair ? std::optional(pair->after) : std::nullopt);
  return html << "<button>Compare</button></form>";
}

// Class × variant: the change, and how sure.
Html matrix(const std::vector<Change>& changes) {
  std::set<std::string> variants;
  std::map<std::string, std::map<std::string, const Change*>> cells;
  for (const Change& one : changes) {
    variants.insert(one.variant);
    cells[one.device_class][one.variant] = &one;
  }
  Html table;
  table << "<table><caption class=\"sr\">Change of p90 by class and variant</caption><thead>"
           "<tr><th scope=\"col\">Class</th>";
  for (const std::string& variant : variants) table << "<th scope=\"col\">" << variant << "</th>";
  table << "</tr></thead><tbody>";
  for (const auto& [device_class, of] : cells) {
    table << "<tr><th scope=\"row\">" << device_class << "</th>";
    for (const std::string& variant : variants) {
      const auto cell = of.find(variant);
      if (cell == of.end()) {
        table << "<td class=\"dim\">not measured</td>";
        continue;
      }
      const Change& one = *cell->second;
      table << "<td><b>" << change(one.p90.median) << "</b> " << interval(one.p90) << "<br>"
            << milliseconds(one.before_ms) << " → " << milliseconds(one.after_ms) << ", "
            << boards(one.p90.boards) << "<br>" << chip(one.p90.verdict) << "</td>";
    }
    table << "</tr>";
  }
  return headed("Change of p90, of boards that measured both", table << "</tbody></table>");
}

using Points = std::map<std::string, std::vector<ParetoPoint>>;  // by class

// Each variant on each class with that release: medians across boards.
Points points_of(const FleetView& view, const std::string& model, const trust::Sha256Digest& manifest) {
  std::map<std::pair<std::string, std::string>, std::pair<std::vector<double>, std::vector<double>>> of;
  for (const auto& [name, row] : view.boards()) {
    if (row.device.model != model || row.device.revoked) continue;
    for (const Figure& one : row.figures) {
      if (one.manifest != manifest || !one.counts() || !one.error) continue;
      auto& [times, errors] = of[{row.device.device_class, one.variant}];
      times.push_back(one.p90_ms);
      errors.push_back(*one.error);
    }
  }
  Points points;
  for (const auto& [key, values] : of) {
    points[key.first].push_back({key.second, across(values.first).median,
                                 across(values.second).median, values.first.size()});
  }
  return points;
}

Html paretos(const Points& points, const std::string& release) {
  Html html;
  for (const auto& [device_class, of] : points) {
    html << "<figure><figcaption>Error against p90 on " << device_class << ", " << release
         << ": filled where nothing is better in both</figcaption>" << pareto(device_class, of);
    Html table;
    table << "<table class=\"dense\"><caption class=\"sr\">Error and p90 on " << device_class
          << "</caption><thead><tr><th scope=\"col\">Variant</th><th scope=\"col\" class=\"n\">p90</th><th "
             "scope=\"col\" class=\"n\">Error of allowed</th><th scope=\"col\" class=\"n\">Boards</th></tr>"
             "</thead><tbody>";
    for (const ParetoPoint& one : of) {
      table << "<tr><th scope=\"row\">" << one.name << "</th><td class=\"n\">" << milliseconds(one.p90_ms)
            << "</td><td class=\"n\">" << change(one.error).substr(1) << "</td><td class=\"n\">"
            << one.boards << "</td></tr>";
    }
    html << scrolling("Error and p90", table << "</tbody></table>") << "</figure>";
  }
  return html;
}

std::set<std::string> models_of(const FleetView& view) {
  std::set<std::string> models;
  for (const auto& [name, row] : view.boards()) models.insert(row.device.model);
  return models;
}

std::string chosen_model(const std::set<std::string>& models, const Query& query) {
  const std::string model = word(query, "model");
  return model.empty() && !models.empty() ? *models.begin() : model;
}

}  // namespace

Result<std::optional<ReleasePair>> compared_pair(const FleetView& view, const Query& query) {
  const std::string model = chosen_model(models_of(view), query);
  const std::optional<ReleasePair> newest = newest_pair(view, model);
  if (word(query, "a").empty() || word(query, "b").empty()) return newest;
  OUTCROP_TRY(before, trust::Sha256Digest::from_hex(word(query, "a")));
  OUTCROP_TRY(after, trust::Sha256Digest::from_hex(word(query, "b")));
  const bool known = view.release(before) != nullptr && view.release(after) != nullptr;
  if (!known) return fail(ErrorCode::not_found, "no release here has that manifest");
  // Those of another model are what the form before had chosen.
  if (view.release(before)->model != model || view.release(after)->model != model) return newest;
  return std::optional(ReleasePair{before, after});
}

Html compare_screen(const FleetView& view, const Query& query, const std::optional<ReleasePair>& pair,
                    const std::vector<ShownPicture>& pictures, Timestamp now) {
  const std::set<std::string> models = models_of(view);
  const std::string model = chosen_model(models, query);
  Html html;
  html << "<h1>Compare</h1>" << form(view, models, model, pair);
  if (!pair) return html << "<p>No board has measured two releases of a model yet.</p>";
  const auto changes = changes_of(view, model, *pair);
  html << "<section data-live=\"matrix\"><h2>" << view.name_of(pair->before) << " → "
       << view.name_of(pair->after) << "</h2>";
  if (changes.empty()) {
    html << "<p>No board has measured both.</p>";
  } else {
    html << "<p>" << sentence(changes.front(), view) << "</p>" << matrix(changes);
  }
  html << "</section><section data-live=\"pictures\">";
  if (!pictures.empty()) {
    html << "<h2>What boards draw with " << view.name_of(pair->after) << "</h2>" << pictures_strip(pictures, now);
  }
  return html << "</section><section data-live=\"pareto\">"
              << paretos(points_of(view, model, pair->after), view.name_of(pair->after)) << "</section>";
}

}  // namespace outcrop::fleet::page
