#include "trainer_host/trainer/analyze/html_page.hpp"

#include "trainer_host/trainer/analyze/figures.hpp"
#include "trainer_host/trainer/analyze/svg.hpp"

namespace outcrop::analyze {
namespace {

constexpr std::size_t longest_line = 48;  // in a cell

// Blue and orange are told apart by all eyes (Okabe and Ito, "Color Universal Design", 2008).
constexpr const char* style = R"(
:root { color-scheme: light dark; --page: #ffffff; --ink: #1d2329; --quiet: #5d6872; --line: #d5dbe1; --panel: #f4f6f8;
  --before: #0072b2; --after: #d55e00; --warn: #b3261e; --good: #007a5a;
  --s2: #009e73; --s3: #9b5fa5; --s4: #b58900; --s5: #4a4a4a; }
@media (prefers-color-scheme: dark) { :root { --page: #14181c; --ink: #e6eaee; --quiet: #9aa6b1; --line: #39424b;
  --panel: #1e242a; --before: #56b4e9; --after: #f0944a; --warn: #ff8a80; --good: #4dd0a5;
  --s2: #4dd0a5; --s3: #cc99d6; --s4: #f0e442; --s5: #c0c0c0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1.25rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .2rem; }
p { margin: .3rem 0; max-width: 60rem; } .about { color: var(--quiet); overflow-wrap: anywhere; }
.summary { font-size: 1.08rem; margin: 1.1rem 0; padding-left: 1.2rem; } .summary li { margin: .35rem 0; max-width: 60rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.2rem 0; }
.tile { background: var(--panel); border-radius: .5rem; padding: .7rem 1rem; min-width: 9rem; flex: 1; }
.tile b { display: block; font-size: 1.5rem; line-height: 1.25; } .tile span { color: var(--quiet); font-size: .85rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: .6rem 0; font-size: .9rem; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: nowrap; } td.long { white-space: normal; min-width: 16rem; overflow-wrap: anywhere; } .n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
th { font-weight: 600; cursor: pointer; white-space: nowrap; } th:hover, th:focus { color: var(--before); }
th[aria-sort=ascending]::after { content: " \25B2"; } th[aria-sort=descending]::after { content: " \25BC"; }
.charts { display: flex; flex-wrap: wrap; gap: 1.2rem 2rem; } figure { margin: .6rem 0; flex: 1 1 28rem; max-width: 40rem; }
.small figure { flex: 0 1 20rem; } figcaption { font-weight: 600; font-size: .9rem; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 12px; fill: var(--ink); } svg .quiet { fill: var(--quiet); }
.fill.before { fill: var(--before); fill-opacity: .75; } .fill.after { fill: var(--after); } .fill.warn { fill: var(--warn); }
.fill.quiet { fill: var(--quiet); fill-opacity: .6; } .line { fill: none; stroke-width: 1.8; } .line.after { stroke: var(--after); }
.grid { stroke: var(--line); fill: none; } .axis { stroke: var(--quiet); }
.shape { fill: none; stroke-width: 2.2; } .s0 { stroke: var(--before); } .s1 { stroke: var(--after); } .s2 { stroke: var(--s2); }
.s3 { stroke: var(--s3); } .s4 { stroke: var(--s4); } .s5 { stroke: var(--s5); }
.key i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin: 0 .3rem 0 .8rem; vertical-align: -1px; }
.key .before { background: var(--before); opacity: .75; } .key .after { background: var(--after); } .key .warn { background: var(--warn); }
@media print { :root { --page: #fff; --ink: #000; --quiet: #444; --line: #bbb; --panel: #f2f2f2; --before: #0072b2; --after: #d55e00;
  --warn: #b3261e; --s2: #009e73; --s3: #9b5fa5; --s4: #b58900; --s5: #4a4a4a; }
  body { max-width: none; padding: 0; font-size: 11px; } figure, tr, .tile { break-inside: avoid; } h2 { break-after: avoid; } .hint { display: none; } }
)";

// No "less than" in it, so that the page is well-formed however it is read.
constexpr const char* script = R"(
for (const head of document.querySelectorAll("table.sortable th")) {
  const sort = () => {
    const table = head.closest("table"), body = table.tBodies[0], at = head.cellIndex;
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const text = row => row.cells[at].textContent, value = row => row.cells[at].dataset.v;
    const order = (a, b) => {
      const x = value(a), y = value(b);
      if (x === undefined || y === undefined) return text(a).localeCompare(text(b), undefined, { numeric: true });
      if (x === "" || y === "") return x === y ? 0 : (x === "") === up ? 1 : -1;
      return Number(x) - Number(y);
    };
    [...body.rows].sort((a, b) => up ? order(a, b) : order(b, a)).forEach(row => body.append(row));
  };
  head.tabIndex = 0;
  head.addEventListener("click", sort);
  head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
}
)";

}  // namespace

std::string html_page(const std::string& title, const std::string& about, const std::string& body) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>" +
         escaped(title) + "</title>\n<style>" + style + "</style>\n</head>\n<body>\n<h1>" + escaped(title) +
         "</h1>\n<p class=\"about\">" + escaped(about) + "</p>\n" + body + "<script>" + script +
         "</script>\n</body>\n</html>\n";
}

std::string html_section(const std::string& heading, const std::string& about, const std::string& body) {
  return "<section>\n<h2>" + escaped(heading) + "</h2>\n" +
         (about.empty() ? "" : "<p class=\"about\">" + escaped(about) + "</p>\n") + body + "</section>\n";
}

std::string html_tiles(const std::vector<Tile>& tiles) {
  std::string html = "<div class=\"tiles\">\n";
  for (const Tile& tile : tiles) {
    html += "<div class=\"tile\"><b>" + escaped(tile.value) + "</b><span>" + escaped(tile.about) + "</span></div>\n";
  }
  return html + "</div>\n";
}

void HtmlTable::add_row(const std::vector<Cell>& cells) {
  numbers_.resize(headings_.size());
  rows_ += "<tr>";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const Cell& cell = cells[i];
    numbers_[i] = numbers_[i] || cell.number;
    rows_ += "<td";
    if (cell.number) {
      rows_ += " class=\"n\" data-v=\"" + (cell.value ? std::to_string(*cell.value) : std::string()) + "\"";
    }
    if (!cell.number && cell.text.size() > longest_line) rows_ += " class=\"long\"";
    rows_ += ">" + escaped(cell.text) + "</td>";
  }
  rows_ += "</tr>\n";
}

std::string HtmlTable::to_string() const {
  std::string html = "<div class=\"scroll\"><table class=\"sortable\">\n<thead><tr>";
  for (std::size_t i = 0; i < headings_.size(); ++i) {
    const bool number = i < numbers_.size() && numbers_[i];
    html += std::string("<th scope=\"col\"") + (number ? " class=\"n\"" : "") + ">" + escaped(headings_[i]) + "</th>";
  }
  return html + "</tr></thead>\n<tbody>\n" + rows_ + "</tbody>\n</table></div>\n";
}

}  // namespace outcrop::analyze
