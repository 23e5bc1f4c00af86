#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "trainer_host/fleet/page/dots.hpp"
#include "trainer_host/fleet/page/screens.hpp"
#include "trainer_host/fleet/page/words.hpp"

namespace outcrop::fleet::page {
namespace {

constexpr std::size_t most_rows = 500;

std::string state_of(const Assignment& one) {
  if (one.excluded) return "left out";
  if (!one.state) return one.generation == 0 ? "not offered" : "waiting";
  return std::string(messages::to_string(*one.state));
}

Html steering(const RolloutRow& row, const Reader& reader) {
  Html html;
  if (!reader.may_operate || has_ended(row.record.state)) return html;
  const bool paused = row.record.state == RolloutState::paused;
  html << "<form class=\"steer\" method=\"post\" action=\"/rollouts/" << in_url(row.record.name)
       << "/steer\"><button name=\"verb\" value=\"" << std::string(paused ? "resume" : "pause") << "\">"
       << std::string(paused ? "Resume" : "Hold")
       << "</button></form><form class=\"steer\" method=\"post\" action=\"/rollouts/"
       << in_url(row.record.name)
       << "/steer\"><label>To take it back from every board, type its name <input name=\"confirm\" "
          "required autocomplete=\"off\"></label><button name=\"verb\" value=\"abort\">Roll back"
          "</button></form>";
  return html;
}

Html by_class(const FleetView& view, const RolloutRow& row) {
  std::map<std::string, std::map<std::string, std::size_t>> counts;
  std::set<std::string> states;
  for (const Assignment& one : row.assignments) {
    const auto board = view.boards().find(one.device);
    const std::string device_class =
        board == view.boards().end() ? "gone" : board->second.device.device_class;
    ++counts[device_class][state_of(one)];
    states.insert(state_of(one));
  }
  Html table;
  table << "<table><caption class=\"sr\">Where boards are, by class</caption><thead><tr><th scope=\"col\">Class</th>";
  for (const std::string& state : states) table << "<th scope=\"col\" class=\"n\">" << state << "</th>";
  table << "</tr></thead><tbody>";
  for (const auto& [device_class, of] : counts) {
    table << "<tr><th scope=\"row\">" << device_class << "</th>";
    for (const std::string& state : states) {
      const auto count = of.find(state);
      table << "<td class=\"n\">" << (count == of.end() ? 0 : count->second) << "</td>";
    }
    table << "</tr>";
  }
  return headed("Where boards are, by class", table << "</tbody></table>");
}

Html boards_of(const FleetView& view, const RolloutRow& row, Timestamp now) {
  Html table;
  table << "<table class=\"dense\"><caption class=\"sr\">Each board</caption><thead><tr><th scope=\"col\">Board</th><th "
           "scope=\"col\">Part</th><th scope=\"col\">State</th><th scope=\"col\">Since</th><th "
           "scope=\"col\" class=\"n\">p50</th><th scope=\"col\" class=\"n\">p90</th><th scope=\"col\" "
           "class=\"n\">Before</th><th scope=\"col\">Reason"
           "</th></tr></thead><tbody>";
  std::size_t shown = 0;
  for (const Assignment& one : row.assignments) {
    if (++shown > most_rows) break;
    const auto board = view.boards().find(one.device);
    const Figure* figure = nullptr;
    if (board != view.boards().end()) {
      for (const Figure& any : board->second.figures) {
        if (any.manifest != row.record.manifest || !any.counts()) continue;
        if (figure == nullptr || any.p90_ms < figure->p90_ms) figure = &any;
      }
    }
    table << "<tr><th scope=\"row\">" << board_link(one.device) << "</th><td>"
          << std::string(one.canary ? "canary" : "") << "</td><td>" << state_of(one) << "</td><td>"
          << age(one.updated, now) << "</td><td class=\"n\">"
          << std::string(figure != nullptr ? milliseconds(figure->p50_ms) : "–") << "</td><td class=\"n\">"
          << std::string(figure != nullptr ? milliseconds(figure->p90_ms) : "–") << "</td><td class=\"n\">"
          << std::string(one.slowdown ? change(one.slowdown->p90 - 1) : "–") << "</td><td>"
          << one.reason << "</td></tr>";
  }
  table << "</tbody></table>";
  Html html = headed("Each board", table);
  if (row.assignments.size() > most_rows) {
    html << "<p>" << row.assignments.size() - most_rows << " more: <a href=\"/boards?rollout="
         << in_url(row.record.name) << "\">all of them</a></p>";
  }
  return html;
}

// Each class beside what served it before, as the engine judges it.
Html beside_before(const Judgement& judgement) {
  Html table;
  table << "<table><caption class=\"sr\">Beside what served before</caption><thead><tr><th scope=\"col\">Class</th>"
           "<th scope=\"col\" class=\"n\">Boards</th><th scope=\"col\" class=\"n\">p90</th><th scope=\"col\" class=\"n\">Interval</th>"
           "<th scope=\"col\">Evidence of harm</th><th scope=\"col\" class=\"n\">Failed</th></tr></thead><tbody>";
  for (const ClassEvidence& seen : judgement.classes) {
    const auto bound = [](double ratio) { return ratio > 0 && std::isfinite(ratio) ? change(ratio - 1) : std::string("open"); };
    table << "<tr><th scope=\"row\">" << seen.device_class << "</th><td class=\"n\">" << seen.boards << "</td><td class=\"n\">"
          << std::string(seen.boards > 0 ? change(seen.ratio - 1) : "–") << "</td><td class=\"n\">"
          << std::string(seen.too_few ? "too few boards" : bound(seen.interval.low) + " to " + bound(seen.interval.high))
          << "</td><td>"
          << meter(seen.slower, judgement.line, judgement.line * 1.25,
                   evidence(seen.slower) + " of " + evidence(judgement.line))
          << "</td><td class=\"n\">" << seen.failures << " of " << seen.ended << "</td></tr>";
  }
  return headed("Beside what served before, measured in turns", table << "</tbody></table>");
}

// What is known in favour of it and against it, in words.
Html verdict(const RolloutRow& row, const std::optional<Judgement>& judgement, const std::vector<Change>& changes,
             const FleetView& view) {
  Html html;
  const std::string& reason = row.record.reason;
  html << "<section class=\"glance ";
  switch (row.record.state) {
    case RolloutState::stopped:
    case RolloutState::aborted:
      html << "bad";
      break;
    case RolloutState::done:
      html << "good";
      break;
    default:
      html << "unsure";
  }
  html << "\"><h2>"
       << std::string(has_ended(row.record.state) ? "Ended: " : "Under way: ")
       << to_string(row.record.state);
  if (!reason.empty()) html << ": " << reason;
  html << "</h2>";
  if (!row.record.target.is_everybody()) html << "<p>For " << in_words(row.record.target) << ".</p>";
  if (judgement) {
    html << "<p>" << in_words(*judgement) << "</p>";
  } else if (changes.empty()) {
    html << "<p>No board has measured this release and the one before: budgets and proofs judge it "
            "alone.</p>";
  } else {
    html << "<p>" << sentence(changes.front(), view) << "</p>";
  }
  return html << "</section>";
}

}  // namespace

Html rollout_screen(const FleetView& view, const RolloutRow& row, const AcknowledgedOf& acknowledged, const Reader& reader,
                    Timestamp now) {
  const RolloutRecord& record = row.record;
  std::vector<Change> changes;
  // Against the release published before it that boards measured, whatever came since.
  std::optional<trust::Sha256Digest> before;
  bool behind = false;
  for (const ReleaseRecord& release : view.releases()) {  // newest first
    if (release.model != record.model) continue;
    if (release.manifest == record.manifest) {
      behind = true;
    } else if (behind && !before) {
      auto found = changes_of(view, record.model, {release.manifest, record.manifest});
      if (found.empty()) continue;
      before = release.manifest;
      changes = std::move(found);
    }
  }
  const auto judgement = view.judgement_of(row, now, /*with_intervals=*/true);
  Html html;
  html << "<h1>Rollout " << record.name << "</h1><div data-live=\"verdict\">"
       << verdict(row, judgement, changes, view) << "<dl class=\"facts\"><div><dt>Release</dt><dd>"
       << view.name_of(record.manifest) << " <code>" << record.manifest.short_hex()
       << "</code></dd></div>";
  if (record.aim) html << "<div><dt>Chosen by least</dt><dd>" << to_string(*record.aim) << "</dd></div>";
  html << "<div><dt>Started</dt><dd>" << age(record.started, now)
       << " ago</dd></div><div><dt>Ended</dt><dd>";
  if (record.ended) {
    html << age(record.ended, now) << " ago";
  } else {
    html << "not yet";
  }
  html << "</dd></div></dl></div>" << steering(row, reader) << "<section data-live=\"classes\">"
       << by_class(view, row) << "</section>";
  if (judgement) html << "<section data-live=\"beside\">" << beside_before(*judgement) << "</section>";
  if (!changes.empty()) {
    html << "<section data-live=\"changes\"><h2>Against the release before</h2>"
         << changes_table(view, changes, 40, acknowledged, now);
    for (std::size_t i = 0; i < changes.size() && i < 6; ++i) {
      html << "<figure><figcaption>" << changes[i].variant << " on " << changes[i].device_class
           << ": each board’s own p90, after against before</figcaption>" << paired_dots(changes[i])
           << "</figure>";
    }
    html << "</section>";
  }
  return html << "<section data-live=\"each\">" << boards_of(view, row, now) << "</section>";
}

}  // namespace outcrop::fleet::page
