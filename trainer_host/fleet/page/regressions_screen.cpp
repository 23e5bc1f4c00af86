#include "trainer_host/fleet/page/screens.hpp"
#include "trainer_host/fleet/page/words.hpp"

namespace outcrop::fleet::page {
namespace {

constexpr std::size_t most_changes = 200;

Html outliers_table(const FleetView& view, const std::vector<monitor::Outlier>& outliers, Timestamp now) {
  Html table;
  table << "<table class=\"dense\"><caption class=\"sr\">Figures far from what is usual</caption><thead><tr><th "
           "scope=\"col\">Board</th><th scope=\"col\">Class</th><th scope=\"col\">Of</th><th scope=\"col\" "
           "class=\"n\">p90</th><th scope=\"col\" class=\"n\">usual</th><th scope=\"col\">Against</th><th "
           "scope=\"col\">Age</th></tr></thead><tbody>";
  for (const monitor::Outlier& one : outliers) {
    table << "<tr><th scope=\"row\">" << board_link(one.device) << "</th><td>" << one.device_class
          << "</td><td>" << std::string(one.release ? view.name_of(*one.release) : "–") << ", "
          << one.variant << "</td><td class=\"n\">" << milliseconds(one.p90_ms) << "</td><td class=\"n\">"
          << milliseconds(one.usual_ms) << "</td><td>" << one.against << "</td><td>" << age(one.at, now)
          << "</td></tr>";
  }
  return scrolling("Figures far from what is usual", table << "</tbody></table>");
}

bool is_worse(const Change& change) {
  return change.p90.verdict == Verdict::regression || change.p90.verdict == Verdict::suspected;
}

// Who may says of what got worse that it is seen. Outside of what follows the fleet, so that nothing typed is lost.
Html acknowledging(const FleetView& view, const std::vector<Change>& changes) {
  Html options;
  for (const Change& one : changes) {
    if (!is_worse(one)) continue;
    options << "<option value=\"" << one.device_class << "/" << one.variant << "/" << one.releases.before.hex() << "/"
            << one.releases.after.hex() << "\">" << one.variant << " on " << one.device_class << ", " << view.name_of(one.releases.after)
            << "</option>";
  }
  Html html;
  if (options.empty()) return html;
  return html << "<form class=\"steer\" method=\"post\" action=\"/regressions/acknowledge\"><label>It is known that <select name=\"change\">"
              << options << "</select> got slower</label><label>Note <input name=\"note\" maxlength=\"250\" autocomplete=\"off\"></label>"
                 "<button name=\"verb\" value=\"acknowledge\">Acknowledge</button><button name=\"verb\" value=\"take-back\">Take back"
                 "</button></form>";
}

Html audit_table(const monitor::AuditPage& page, Timestamp now) {
  Html table;
  table << "<table class=\"dense\"><caption class=\"sr\">Who did what</caption><thead><tr><th scope=\"col\" "
           "class=\"n\">No.</th><th scope=\"col\">When</th><th scope=\"col\">Who</th><th scope=\"col\">What"
           "</th><th scope=\"col\">On</th><th scope=\"col\">Evidence</th></tr></thead><tbody>";
  for (const monitor::AuditEntry& one : page.entries) {
    table << "<tr><th scope=\"row\" class=\"n\">" << one.number << "</th><td>" << age(one.time, now)
          << "</td><td>" << one.who << "</td><td>" << one.action << "</td><td>" << one.subject
          << "</td><td><code>" << one.detail << "</code></td></tr>";
  }
  if (page.entries.empty()) table << "<tr><td colspan=\"6\">Nothing yet.</td></tr>";
  Html html = scrolling("Who did what", table << "</tbody></table>");
  if (page.older) {
    html << "<nav class=\"pages\" aria-label=\"Pages\"><a rel=\"next\" href=\"/regressions?below="
         << *page.older << "#audit\">Older entries</a></nav>";
  }
  return html;
}

}  // namespace

Html regressions_screen(const FleetView& view, const std::vector<monitor::Outlier>* outliers,
                        const monitor::AuditPage* audit, const AcknowledgedOf& acknowledged, const Reader& reader,
                        Timestamp now) {
  const auto& changes = newest_changes(view);
  Html html;
  html << "<h1>Regressions and audit</h1><section data-live=\"changes\"><h2>From one release to the next</h2>"
          "<p class=\"dim\">Effect: the median over boards of p90 with the newer release against the older, "
          "each on the same board. Evidence holds however often it is looked at; 100 is beyond doubt at 1 %. "
          "Slower by up to 2 % harms nobody.</p>";
  if (changes.empty()) {
    html << "<p>No board has measured two releases.</p>";
  } else {
    html << changes_table(view, changes, most_changes, acknowledged, now) << "<p><a href=\"/regressions.csv\">All of them as CSV</a></p>";
  }
  html << "</section>";
  if (reader.may_operate) html << acknowledging(view, changes);
  html << "<section data-live=\"outliers\"><h2>Figures far from what is usual</h2>";
  if (outliers == nullptr) {
    html << "<p>This host keeps no history.</p>";
  } else if (outliers->empty()) {
    html << "<p>None in two days.</p>";
  } else {
    html << outliers_table(view, *outliers, now);
  }
  html << "</section><section id=\"audit\" data-live=\"audit\"><h2>Who did what</h2>";
  if (audit == nullptr) {
    html << "<p>This host keeps no audit log.</p>";
  } else {
    html << audit_table(*audit, now);
  }
  return html << "</section>";
}

}  // namespace outcrop::fleet::page
