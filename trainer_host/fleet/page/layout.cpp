#include <algorithm>
#include <array>

#include "trainer_host/fleet/page/assets.hpp"
#include "trainer_host/fleet/page/screens.hpp"
#include "trainer_host/fleet/page/words.hpp"

namespace outcrop::fleet::page {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 4> places{
    {{"/", "Fleet"}, {"/boards", "Boards"}, {"/compare", "Compare"}, {"/regressions", "Regressions and audit"}}};

// "stage 2": beside its model's name.
std::string stage_of(const FleetView& view, const trust::Sha256Digest& manifest) {
  const ReleaseRecord* known = view.release(manifest);
  return known == nullptr ? manifest.short_hex() : "stage " + std::to_string(known->stage);
}

// "by token ops 3 h ago: the new kernel"; a dash where nobody did.
Html acknowledged_by(const std::optional<Acknowledged>& one, Timestamp now) {
  Html html;
  if (!one) return html << "–";
  html << "by " << one->who << " " << age(one->when, now) << " ago";
  if (!one->note.empty()) html << ": " << one->note;
  return html;
}

Html head(const std::string& title, Timestamp now) {
  Html html;
  html << "<!doctype html>\n<html lang=\"en\" data-now=\"" << to_rfc3339(now)
       << "\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
          "content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" "
          "content=\"light dark\"><title>"
       << title << " · Outcrop</title><link rel=\"stylesheet\" href=\"" << asset_url("page.css")
       << "\"><link rel=\"icon\" href=\"" << asset_url("icon.svg") << "\">";
  return html;
}

}  // namespace

std::string layout(const std::string& title, const std::string& active, const Html& content,
                   const Reader& reader, Timestamp now) {
  Html html = head(title, now);
  html << "<link rel=\"stylesheet\" href=\"" << asset_url("uPlot.min.css") << "\"><script defer src=\""
       << asset_url("uPlot.iife.min.js") << "\"></script><script type=\"module\" src=\""
       << asset_url("page.js")
       << "\"></script></head><body><a class=\"skip\" href=\"#main\">Skip to content</a><header><nav "
          "aria-label=\"Screens\"><b class=\"brand\">Outcrop</b>";
  for (const auto& [path, name] : places) {
    html << "<a href=\"" << path << "\"";
    if (path == active) html << " aria-current=\"page\"";
    html << ">" << name << "</a>";
  }
  html << "</nav><p id=\"live\" role=\"status\">As of " << to_rfc3339(now) << "</p>";
  if (!reader.name.empty()) {
    html << "<form class=\"who\" method=\"post\" action=\"/leave\"><span>" << reader.name << "</span>";
    if (reader.may_leave) html << "<button>Leave</button>";
    html << "</form>";
  }
  html << "</header><main id=\"main\" tabindex=\"-1\">" << content << "</main></body></html>\n";
  return std::move(html).text();
}

http::Response Page::login(const std::string& problem, int status) {
  Html html = head("Who are you?", SystemClock().now());
  html << "</head><body><main id=\"main\" class=\"login\"><h1>Outcrop</h1><form method=\"post\" "
          "action=\"/login\"><label for=\"token\">Token</label><input id=\"token\" name=\"token\" "
          "type=\"password\" autocomplete=\"current-password\" required autofocus";
  if (!problem.empty()) html << " aria-invalid=\"true\" aria-describedby=\"problem\"";
  html << "><button>Look</button></form>";
  if (!problem.empty()) html << "<p id=\"problem\" class=\"bad\" role=\"alert\">" << problem << "</p>";
  html << "<p class=\"dim\">On the host: <code>outcrop fleet token add NAME --role viewer</code></p>"
          "</main></body></html>\n";
  return as_page(std::move(html).text(), status);
}

http::Response as_page(std::string html, int status) {
  return {status,
          "text/html; charset=utf-8",
          std::move(html),
          {{"Content-Security-Policy",
            "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
            "object-src 'none'"},
           {"X-Content-Type-Options", "nosniff"},
           {"Referrer-Policy", "no-referrer"},
           {"Cache-Control", "no-store"}}};
}

Html scrolling(const std::string& name, const Html& table) {
  Html html;
  return html << "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"" << name << "\">"
              << table << "</div>";
}

Html headed(const std::string& name, const Html& table) {
  Html html;
  return html << "<h2>" << name << "</h2>" << scrolling(name, table);
}

Html meter(double value, double line, double most, const std::string& words) {
  const auto at = [&](double one) { return plain(100 * std::min(1.0, std::max(0.0, one / most))); };
  Html html;
  html << "<span class=\"meter\"><svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" "
          "aria-hidden=\"true\"><rect class=\"track\" width=\"100\" height=\"10\"/><rect class=\""
       << std::string(value >= line ? "over" : "fill") << "\" width=\"" << at(value)
       << "\" height=\"10\"/>";
  if (line < most) {
    html << "<line x1=\"" << at(line) << "\" x2=\"" << at(line) << "\" y1=\"0\" y2=\"10\"/>";
  }
  return html << "</svg> " << words << "</span>";
}

Html changes_table(const FleetView& view, const std::vector<Change>& changes, std::size_t most, const AcknowledgedOf& acknowledged,
                   Timestamp now) {
  std::vector<std::optional<Acknowledged>> seen;
  for (std::size_t i = 0; i < changes.size() && i < most; ++i) seen.push_back(acknowledged(changes[i]));
  const bool any = std::any_of(seen.begin(), seen.end(), [](const auto& one) { return one.has_value(); });
  Html table;
  table << "<table><caption class=\"sr\">p90 of boards that measured both releases</caption><thead><tr>"
           "<th scope=\"col\">Class</th><th scope=\"col\">Variant</th><th scope=\"col\">Release</th>"
           "<th scope=\"col\" class=\"n\">Effect</th><th scope=\"col\" class=\"n\">95 %</th><th "
           "scope=\"col\" class=\"n\">Slower</th><th scope=\"col\" class=\"n\">Evidence"
           "</th><th scope=\"col\">Verdict</th><th scope=\"col\">Heat</th>";
  if (any) table << "<th scope=\"col\">Acknowledged</th>";
  table << "</tr></thead><tbody>";
  for (std::size_t i = 0; i < changes.size() && i < most; ++i) {
    const Change& one = changes[i];
    table << "<tr><th scope=\"row\">" << one.device_class << "</th><td>" << one.variant << "</td><td>"
          << one.model << ": " << stage_of(view, one.releases.before) << " → "
          << stage_of(view, one.releases.after)
          << "</td><td class=\"n\">" << change(one.p90.median) << "</td><td class=\"n\">"
          << interval(one.p90) << "</td><td class=\"n\">" << one.p90.slower << " of "
          << one.p90.boards << "</td><td class=\"n\">" << evidence(one.p90.evidence) << "</td><td>"
          << chip(one.p90.verdict) << "</td><td>";
    const std::size_t hot = one.throttled_before + one.throttled_after;
    if (hot == 0) {
      table << "none";
    } else {
      table << hot << " void";
    }
    table << "</td>";
    if (any) table << "<td>" << acknowledged_by(seen[i], now) << "</td>";
    table << "</tr>";
  }
  return scrolling("Changes", table << "</tbody></table>");
}

}  // namespace outcrop::fleet::page
