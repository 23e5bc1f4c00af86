#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "protocol/base/counted.hpp"
#include "trainer_host/fleet/page/screens.hpp"
#include "trainer_host/fleet/page/words.hpp"
#include "trainer_host/fleet/rollout/observe.hpp"

namespace outcrop::fleet::page {
namespace {

constexpr std::size_t top_changes = 5;

// Is anything worse, by how much, on which class, how sure, and was it heat?
Html first_glance(const FleetView& view, const std::vector<Change>& changes, const AcknowledgedOf& acknowledged) {
  Html html;
  const Change* worst = nullptr;
  std::size_t known = 0;
  for (const Change& one : changes) {
    const bool worse = one.p90.verdict == Verdict::regression || one.p90.verdict == Verdict::suspected;
    if (worse && acknowledged(one)) {
      ++known;
    } else if (worst == nullptr) {
      worst = &one;
    }
  }
  if (worst == nullptr && known == 0) {
    return html << "<section class=\"glance\" data-live=\"glance\"><h2>Is anything worse?</h2><p>Nobody "
                   "can say yet: no board has measured two releases.</p></section>";
  }
  const Verdict verdict = worst == nullptr ? Verdict::none : worst->p90.verdict;
  html << "<section class=\"glance ";
  if (verdict == Verdict::regression) {
    html << "bad\" data-live=\"glance\"><h2>Worse</h2>";
  } else if (verdict == Verdict::suspected) {
    html << "warn\" data-live=\"glance\"><h2>Perhaps worse</h2>";
  } else if (verdict == Verdict::insufficient) {
    html << "unsure\" data-live=\"glance\"><h2>Too few boards to be sure</h2>";
  } else {
    html << "good\" data-live=\"glance\"><h2>Nothing " << std::string(known > 0 ? "else " : "") << "is worse</h2>";
  }
  if (worst != nullptr) html << "<p>" << sentence(*worst, view) << "</p>";
  if (known > 0) {
    html << "<p><a href=\"/regressions\">" << counted(known, "change for the worse is", "changes for the worse are") << " acknowledged</a></p>";
  }
  return html << "</section>";
}

Html boards_by_class(const FleetView& view) {
  std::map<std::string, std::array<std::size_t, health_count>> counts;
  for (const auto& [name, row] : view.boards()) {
    ++counts[row.device.device_class][static_cast<std::size_t>(row.health)];
  }
  Html table;
  table << "<table><caption class=\"sr\">Boards by class and health</caption><thead><tr><th scope=\"col\">Class</th>";
  for (int i = 0; i < health_count; ++i) {
    table << "<th scope=\"col\" class=\"n\">" << chip(static_cast<Health>(i)) << "</th>";
  }
  table << "</tr></thead><tbody>";
  for (const auto& [device_class, of] : counts) {
    table << "<tr><th scope=\"row\"><a href=\"/boards?class=" << in_url(device_class) << "\">"
          << device_class << "</a></th>";
    for (int i = 0; i < health_count; ++i) {
      const std::size_t count = of[static_cast<std::size_t>(i)];
      const std::string health(to_string(static_cast<Health>(i)));
      if (count == 0) {
        table << "<td class=\"n dim\">0</td>";
        continue;
      }
      table << "<td class=\"n\"><a href=\"/boards?class=" << in_url(device_class)
            << "&amp;health=" << health << "\" aria-label=\"" << count << " " << health << " of "
            << device_class << "\">" << count << "</a></td>";
    }
    table << "</tr>";
  }
  if (counts.empty()) {
    table << "<tr><td colspan=\"7\">No board is enrolled: <code>outcrop device enroll NAME --class CLASS "
             "--model MODEL</code></td></tr>";
  }
  return headed("Boards by class and health", table << "</tbody></table>");
}

// Of releases measured some time apart, where no board measured both in turns. None where that release is not the one
// that is compared.
std::optional<double> most_evidence(const std::vector<Change>& changes,
                                    const trust::Sha256Digest& manifest) {
  std::optional<double> most;
  for (const Change& one : changes) {
    if (one.releases.after == manifest) most = std::max(most.value_or(0), one.p90.evidence);
  }
  return most;
}

Html rollouts(const FleetView& view, const std::vector<Change>& changes, Timestamp now) {
  Html table;
  table << "<table><caption class=\"sr\">Rollouts</caption><thead><tr><th "
           "scope=\"col\">Rollout</th><th scope=\"col\">Release</th><th scope=\"col\">State</th><th "
           "scope=\"col\">Boards that have it</th><th scope=\"col\">Evidence of harm</th><th "
           "scope=\"col\">Since</th></tr></thead><tbody>";
  std::size_t ended = 0;
  for (const RolloutRow& row : view.rollouts()) {
    if (has_ended(row.record.state) && ++ended > 3) continue;
    std::size_t taken = 0;
    std::size_t asked = 0;
    for (const Assignment& one : row.assignments) {
      if (one.excluded) continue;
      ++asked;
      if (one.state == messages::DeploymentState::updated && !one.cancelled) ++taken;
    }
    const auto judgement = view.judgement_of(row, now);
    const auto harm = judgement ? std::optional(judgement->evidence) : most_evidence(changes, row.record.manifest);
    const double line = judgement ? judgement->line : stop_line;
    table << "<tr><th scope=\"row\">" << rollout_link(row.record.name) << "</th><td>"
          << view.name_of(row.record.manifest) << "</td><td>" << to_string(row.record.state)
          << "</td><td>"
          << meter(static_cast<double>(taken), 1e9, std::max<double>(1, static_cast<double>(asked)),
                   std::to_string(taken) + " of " + std::to_string(asked))
          << "</td><td>"
          << (harm ? meter(*harm, line, line * 1.25, evidence(*harm) + " of " + evidence(line))
                   : meter(0, line, line * 1.25, "not compared"))
          << "</td><td>"
          << age(row.record.ended ? row.record.ended : std::optional(row.record.started), now)
          << "</td></tr>";
  }
  if (view.rollouts().empty()) {
    table << "<tr><td colspan=\"6\">None yet: <code>outcrop rollout start NAME --release FOLDER</code>"
             "</td></tr>";
  }
  return headed("Rollouts under way, and the last that ended", table << "</tbody></table>");
}

}  // namespace

Html fleet_screen(const FleetView& view, const std::vector<std::string>& attention, const AcknowledgedOf& acknowledged,
                  Timestamp now) {
  const std::vector<Change>& changes = newest_changes(view);
  Html html;
  html << "<h1>Fleet</h1>" << first_glance(view, changes, acknowledged);
  html << "<div data-live=\"attention\">";
  if (view.unread() > 0) html << "<p class=\"bad\">Still reading: " << boards(view.unread()) << " to go.</p>";
  if (!attention.empty()) {
    html << "<section class=\"attention\"><h2>To be done by a person</h2><ul>";
    for (const std::string& one : attention) html << "<li>" << one << "</li>";
    html << "</ul></section>";
  }
  html << "</div><section data-live=\"boards\">" << boards_by_class(view)
       << "</section><section data-live=\"rollouts\">" << rollouts(view, changes, now)
       << "</section><section data-live=\"changes\"><h2>Top changes between the newest two releases</h2>";
  if (changes.empty()) {
    html << "<p>None: no board has measured two releases.</p>";
  } else {
    html << changes_table(view, changes, top_changes, acknowledged, now) << "<p><a href=\"/regressions\">All changes</a></p>";
  }
  return html << "</section>";
}

}  // namespace outcrop::fleet::page
