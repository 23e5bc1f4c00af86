#include <array>
#include <set>
#include <utility>

#include "trainer_host/fleet/page/dots.hpp"
#include "trainer_host/fleet/page/screens.hpp"
#include "trainer_host/fleet/page/words.hpp"

namespace outcrop::fleet::page {
namespace {

Html choice(const std::string& name, const std::string& label, const std::string& chosen,
            const std::set<std::string>& values) {
  Html html;
  html << "<label>" << label << " <select name=\"" << name << "\"><option value=\"\">all</option>";
  for (const std::string& value : values) {
    html << "<option";
    if (value == chosen) html << " selected";
    html << ">" << value << "</option>";
  }
  return html << "</select></label>";
}

Html form(const FleetView& view, const BoardQuery& query) {
  std::set<std::string> classes, models, healths, tags;
  for (const auto& [name, row] : view.boards()) {
    classes.insert(row.device.device_class);
    models.insert(row.device.model);
    tags.insert(row.device.tags.begin(), row.device.tags.end());
  }
  for (int i = 0; i < health_count; ++i) healths.emplace(to_string(static_cast<Health>(i)));
  Html html;
  html << "<form class=\"filter\" role=\"search\" action=\"/boards\"><label>Name has <input name=\"q\" "
          "value=\""
       << query.part_of_name << "\"></label>"
       << choice("class", "Class", query.device_class, classes)
       << choice("health", "Health", query.health, healths);
  if (!query.tag.empty()) tags.insert(query.tag);  // which no board has any more
  if (!tags.empty()) html << choice("tag", "Tag", query.tag, tags);
  if (models.size() > 1) html << choice("model", "Model", query.model, models);
  if (query.sort != "name" || query.descending) {
    html << "<input type=\"hidden\" name=\"sort\" value=\""
         << std::string(query.descending ? "-" : "") + query.sort << "\">";
  }
  return html << "<button>Filter</button> <a href=\"/boards\">All boards</a></form>";
}

Html heading(const BoardQuery& query, const std::string& order, const std::string& label, bool number) {
  const bool active = query.sort == order;
  const std::string next = active && !query.descending ? "-" + order : order;
  Html html;
  html << "<th scope=\"col\"";
  if (number) html << " class=\"n\"";
  if (active) {
    html << " aria-sort=\"" << std::string(query.descending ? "descending" : "ascending") << "\"";
  }
  html << "><a href=\"/boards?" << query.words({{"sort", next}}) << "\">" << label;
  if (active) html << "<span aria-hidden=\"true\">" << std::string(query.descending ? " ▼" : " ▲") << "</span>";
  return html << "</a></th>";
}

// Each leads to the boards of the query that have it.
Html tags_of(const BoardRow& row, const BoardQuery& query) {
  Html html;
  bool first = true;
  for (const std::string& tag : row.device.tags) {
    if (!std::exchange(first, false)) html << ", ";
    html << "<a href=\"/boards?" << query.words({{"tag", tag}}) << "\">" << tag << "</a>";
  }
  return html;
}

// Those that are ticked, or all that match, get a tag or lose it. Outside of what follows the fleet, so that nothing typed is lost.
Html tagging(const BoardQuery& query, std::size_t matching) {
  Html html;
  return html << "<form id=\"tagging\" class=\"filter\" method=\"post\" action=\"/boards/tag\"><input type=\"hidden\" name=\"filter\" value=\""
              << query.words() << "\"><label>Give or take the tag <input name=\"tag\" required pattern=\"[a-z0-9\\-]{1,63}\" "
                 "title=\"1 to 63 of a-z, 0-9 and -\" autocomplete=\"off\"></label><label>of <select name=\"which\"><option value=\"ticked\">"
                 "the boards ticked below</option><option value=\"all\">all "
              << boards(matching) << " that match</option></select></label><button name=\"verb\" value=\"add\">Add</button>"
                 "<button name=\"verb\" value=\"remove\">Remove</button></form>";
}

Html row_of(const FleetView& view, const BoardRow& row, const BoardQuery& query, const Lately& lately, const Reader& reader,
            Timestamp now) {
  Html html;
  html << "<tr><th scope=\"row\">";
  if (reader.may_operate) {
    html << "<input type=\"checkbox\" form=\"tagging\" name=\"b." << row.device.name << "\" aria-label=\"Tick " << row.device.name << "\"> ";
  }
  html << board_link(row.device.name) << "</th><td>"
       << row.device.device_class << "</td><td>" << tags_of(row, query) << "</td><td>" << chip(row.health) << "</td><td>"
       << age(row.device.last_seen, now) << "</td><td>";
  const auto& status = row.device.status;
  if (status && status->active_manifest) {
    html << view.name_of(*status->active_manifest) << ", " << status->active_variant;
  } else {
    html << "–";
  }
  html << "</td>";
  const Figure* serving = row.serving();
  if (serving == nullptr) {
    html << "<td class=\"n\" colspan=\"4\">not measured</td>";
  } else if (!serving->counts()) {
    html << "<td class=\"n\" colspan=\"3\">void</td><td>" << age(serving->received, now) << "</td>";
  } else {
    html << "<td class=\"n\">" << milliseconds(serving->p50_ms) << "</td><td class=\"n\">" << milliseconds(serving->p90_ms)
         << "</td><td class=\"n\">" << megabytes(serving->peak_memory) << "</td><td>" << age(serving->received, now) << "</td>";
  }
  return html << "<td>" << sparkline(lately(row.device.name)) << "</td></tr>";
}

}  // namespace

Html boards_screen(const FleetView& view, const BoardQuery& query, const BoardPage& page, const Lately& lately,
                   const Reader& reader, Timestamp now) {
  Html table;
  table << "<table class=\"dense\"><caption class=\"sr\">Boards</caption><thead><tr>"
        << heading(query, "name", "Board", false) << heading(query, "class", "Class", false)
        << "<th scope=\"col\">Tags</th>" << heading(query, "health", "Health", false) << heading(query, "seen", "Heard", false)
        << "<th scope=\"col\">Serves</th>" << heading(query, "p50", "p50", true)
        << heading(query, "p90", "p90", true) << heading(query, "memory", "Memory", true)
        << "<th scope=\"col\">Measured</th><th scope=\"col\">Serving lately</th></tr></thead><tbody>";
  for (const BoardRow* row : page.rows) table << row_of(view, *row, query, lately, reader, now);
  if (page.rows.empty()) table << "<tr><td colspan=\"11\">No board is like that.</td></tr>";
  table << "</tbody></table>";
  Html html;
  html << "<h1>Boards</h1>" << form(view, query);
  if (reader.may_operate && page.matching > 0) html << tagging(query, page.matching);
  html << "<section data-live=\"boards\"><p>"
       << page.rows.size() << " of " << boards(page.matching) << " shown, of "
       << view.boards().size() << " enrolled. <a href=\"/boards.csv?" << query.words() << "\">All of them as CSV</a></p>" << scrolling("Boards", table);
  if (!query.after.empty() || !page.after.empty()) {
    html << "<nav class=\"pages\" aria-label=\"Pages\">";
    if (!query.after.empty()) html << "<a href=\"/boards?" << query.words() << "\">First page</a> ";
    if (!page.after.empty()) {
      html << "<a rel=\"next\" href=\"/boards?" << query.words({{"after", page.after}})
           << "\">Next page</a>";
    }
    html << "</nav>";
  }
  return html << "</section>";
}

}  // namespace outcrop::fleet::page
