#include "trainer_host/cli/best_output.hpp"

#include "platform/console/columns.hpp"
#include "platform/console/table.hpp"
#include "protocol/base/counted.hpp"
#include "trainer_host/cli/device_filter.hpp"
#include "trainer_host/cli/human.hpp"

namespace outcrop::cli {
namespace {

// A bound that boards leave open is shown as such.
std::string interval_of(const Json& one) {
  if (one.at("low").is_null() && one.at("high").is_null()) return "";
  const auto bound = [&](const char* key) { return in_percent(one.at(key), "open"); };
  return bound("low") + " to " + bound("high");
}

std::string table_of(const Json& contenders, const std::string& first, const ReleaseDetails& releases, const View& view) {
  const bool of_releases = first == "stage";
  std::vector<std::string> headings{first};
  if (of_releases) headings.emplace_back("by");
  for (const char* heading : {"beside", "interval", "boards", "what that is worth"}) headings.emplace_back(heading);
  Table table(headings);
  table.less_needed({"interval"});
  for (const Json& one : contenders) {
    std::vector<std::string> cells;
    if (of_releases) cells.push_back(stage_of(releases, text_at(one, "manifest")));
    cells.push_back(text_at(one, "variant"));
    cells.push_back(in_percent(one.at("ratio"), "–"));
    cells.push_back(interval_of(one));
    cells.push_back(std::to_string(one.at("boards").get<std::size_t>()));
    cells.push_back(text_at(one, "words"));
    table.add_row(std::move(cells));
  }
  return table.to_string(view.width);
}

std::string about_class(const Json& best, const std::string& objective, const ReleaseDetails& releases, const View& view) {
  const auto boards = best.at("boards").get<std::size_t>();
  std::string title = text_at(best, "model") + " on " + text_at(best, "device_class") + " (" + counted(boards, "board") + "), by least " + objective;
  const Json& incumbent = best.at("incumbent");
  if (!incumbent.is_null()) {
    title += ", beside " + text_at(incumbent, "variant") + " of " + stage_in_words(releases, text_at(incumbent, "manifest")) + ", which " +
             counted(best.at("serving").get<std::size_t>(), "serves", "serve");
  }
  std::string text = wrapped(title + ":\n", view.width);
  if (best.at("variants").size() > 1) text += table_of(best.at("variants"), "variant", releases, view);
  if (best.at("releases").size() > 1) text += "\n" + table_of(best.at("releases"), "stage", releases, view);
  return text + wrapped(text_at(best, "words") + "\n", view.width);
}

}  // namespace

std::string best_tables(const Json& answer, const ReleaseDetails& releases, const View& view, bool filtered) {
  std::string text;
  for (const Json& best : answer.at("classes")) {
    text += (text.empty() ? "" : "\n") + about_class(best, text_at(answer, "objective"), releases, view);
  }
  if (text.empty()) text = filtered ? nobody_fits : nobody_enrolled;
  if (const auto unread = answer.at("unread").get<std::size_t>(); unread > 0) {
    text += counted(unread, "board is", "boards are") + " still to be read: ask again\n";
  }
  return text;
}

}  // namespace outcrop::cli
